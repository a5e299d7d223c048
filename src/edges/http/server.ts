import { once } from "node:events";
import { type AddressInfo, type Socket, createServer } from "node:net";
import type { Clock } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import { Connection } from "./connection.ts";
import type { HttpHandler } from "./http-message.ts";

/** An open port of an endpoint. Disposing lets requests that are under way end, for some seconds. */
export interface HttpListener extends AsyncDisposable {
  readonly port: number;
}

export interface HttpServerOptions {
  readonly port: number;
  /** Every interface when absent. */
  readonly host?: string;
  readonly handler: HttpHandler;
  readonly clock: Clock;
  /** How many connections may be open; 20 000 by default. Further ones are closed at once. */
  readonly connectionsMax?: number;
  /** How many connections one address may have; 2 000 by default. */
  readonly perAddressMax?: number;
}

const CONNECTIONS_MAX = 20_000;
/** A pod that opens more than any client needs takes none from the node's other pods. */
const PER_ADDRESS_MAX = 2_000;
const SECOND_MS = 1_000;
const DRAIN_MS = 5_000;

/**
 * Serves pods over HTTP/1.1, bounded in bytes, time and connections. What is not HTTP, too large or too
 * slow is told so and closed; bodies go by unread.
 *
 * @throws {AppError} `invalid_settings` when the port cannot be listened on.
 */
export async function serveHttp(options: HttpServerOptions): Promise<HttpListener> {
  const { port, host, handler, clock } = options;
  const { connectionsMax = CONNECTIONS_MAX, perAddressMax = PER_ADDRESS_MAX } = options;
  const connections = new Set<Connection>();
  const shared = { handler, isStopping: false, date: httpDate(clock) };
  const ofAddress = new Map<string, number>();

  const take = (socket: Socket): void => {
    const address = socket.remoteAddress ?? "";
    const before = ofAddress.get(address) ?? 0;
    if (before >= perAddressMax || connections.size >= connectionsMax) {
      socket.destroy();
      return;
    }
    const connection = new Connection(socket, shared);
    connections.add(connection);
    ofAddress.set(address, before + 1);
    socket.on("close", () => {
      connections.delete(connection);
      const left = (ofAddress.get(address) ?? 1) - 1;
      if (left === 0) ofAddress.delete(address);
      else ofAddress.set(address, left);
    });
  };

  const server = createServer({ noDelay: true }, take);
  try {
    // Two agents share the port for as long as one takes over from the other.
    server.listen({ port, reusePort: true, ...(host === undefined ? {} : { host }) });
    await once(server, "listening");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    throw new AppError("invalid_settings", `--port: cannot listen on ${port}: ${code}`, {
      cause: error,
    });
  }
  const stop = new AbortController();
  const ticking = tick(clock, stop.signal, () => {
    shared.date = httpDate(clock);
    for (const connection of connections) connection.tick();
  });

  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      shared.isStopping = true;
      const closed = once(server, "close");
      server.close();
      for (const connection of connections) connection.closeIfIdle();
      await Promise.race([closed, clock.sleep(DRAIN_MS, stop.signal)]);
      for (const connection of connections) connection.destroy();
      await closed;
      stop.abort(new Error("the listener is closed"));
      await ticking;
    },
  };
}

/** Calls `each` every second until the signal aborts. */
async function tick(clock: Clock, signal: AbortSignal, each: () => void): Promise<void> {
  while (!signal.aborted) {
    // Only the signal ends a sleep early.
    await clock.sleep(SECOND_MS, signal).then(each, () => undefined);
  }
}

function httpDate(clock: Clock): string {
  return new Date(clock.now()).toUTCString();
}
