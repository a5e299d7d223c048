import type { IncomingMessage, ServerResponse } from "node:http";
import { type Listener, listenForOperators, sendText } from "./admin-listener.ts";
import type { Metrics } from "./metrics.ts";
import type { Address } from "./settings/setting.ts";

/** What a process says of itself. Readiness follows its peers, liveness never does. */
export interface Health {
  readonly live: boolean;
  readonly ready: boolean;
  /** Why it is not ready; short sentences without secrets. */
  readonly reasons: readonly string[];
}

/** What is served, and where. */
export interface TelemetryOptions {
  readonly address: Address;
  readonly metrics: Metrics;
  readonly health: () => Health;
  /** Lets another process of the same user listen there too. */
  readonly shared?: boolean | undefined;
}

/**
 * Serves `/metrics`, `/livez` and `/readyz` until it is disposed.
 *
 * @throws {AppError} `invalid_settings` when the address cannot be listened on.
 */
export function serveTelemetry(options: TelemetryOptions): Promise<Listener> {
  const { address, metrics, health, shared } = options;
  let scrapes = 0;
  const inFlight = (change: number): void => {
    scrapes += change;
    metrics.set("promhttp_metric_handler_requests_in_flight", {}, scrapes);
  };
  const scrape = async (response: ServerResponse): Promise<void> => {
    inFlight(1);
    try {
      metrics.set("rolecall_ready", {}, health().ready ? 1 : 0);
      const { text, contentType } = metrics.expose();
      response.writeHead(200, { "content-type": contentType });
      response.end(text);
      metrics.add("promhttp_metric_handler_requests_total", { code: "200" });
    } catch (error) {
      metrics.add("promhttp_metric_handler_requests_total", { code: "500" });
      throw error;
    } finally {
      inFlight(-1);
    }
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    switch (request.url?.split("?", 1)[0]) {
      case "/metrics":
        await scrape(response);
        break;
      case "/livez":
        sendHealth(response, health().live, []);
        break;
      case "/readyz": {
        const { ready, reasons } = health();
        sendHealth(response, ready, reasons);
        break;
      }
      default:
        sendText(response, 404, "see /metrics, /livez and /readyz\n");
    }
  };
  return listenForOperators({ flag: "prometheus-listen-addr", address, shared }, answer);
}

function sendHealth(response: ServerResponse, good: boolean, reasons: readonly string[]): void {
  const why = reasons.map((reason) => `${reason}\n`).join("");
  sendText(response, good ? 200 : 503, good ? "ok\n" : why || "not ok\n");
}
