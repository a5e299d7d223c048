import { once } from "node:events";
import http, { type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { AppError } from "#core/errors.ts";
import { limitPerAddress } from "./limit-per-address.ts";

/** An open port of the metadata endpoint. Disposing closes it within `DRAIN_MS`. */
export interface HttpListener extends AsyncDisposable {
  readonly port: number;
}

export interface ListenOptions {
  readonly port: number;
  /** Every interface when absent. */
  readonly host?: string;
  readonly handler: RequestListener;
  /** Milliseconds that a client has for a request's headers; 5 s by default. */
  readonly headersWithinMs?: number;
  /** How many connections may be open; 20 000 by default. Further ones are closed at once. */
  readonly connectionsMax?: number;
  /** How many connections one address may have; 2 000 by default. */
  readonly perAddressMax?: number;
}

const HEADER_BYTES_MAX = 16_384;
const HEADERS_WITHIN_MS = 5_000;
const REQUEST_WITHIN_MS = 10_000;
/** Longer than clients keep idle connections, so that they never send on one that is being closed. */
const KEEP_ALIVE_MS = 75_000;
const CONNECTIONS_MAX = 20_000;
/** A pod that opens more than any client needs takes none from the node's other pods. */
const PER_ADDRESS_MAX = 2_000;
const CHECK_EVERY_MS = 1_000;
const DRAIN_MS = 5_000;
/** What is said to clients of which no request could be read, by Node's code for it. */
const REFUSALS: ReadonlyMap<string, string> = new Map([
  ["HPE_HEADER_OVERFLOW", "431 Request Header Fields Too Large"],
  ["ERR_HTTP_REQUEST_TIMEOUT", "408 Request Timeout"],
]);

/**
 * Serves pods over HTTP/1.1, bounded in headers, time and connections. What is not HTTP, too large or
 * too slow is told so and closed; bodies are never read.
 *
 * @throws {AppError} `invalid_settings` when the port cannot be listened on.
 */
export async function listen(options: ListenOptions): Promise<HttpListener> {
  const { port, host, handler, headersWithinMs = HEADERS_WITHIN_MS } = options;
  const server = http.createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: headersWithinMs,
      requestTimeout: REQUEST_WITHIN_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: Math.min(CHECK_EVERY_MS, headersWithinMs),
    },
    handler,
  );
  server.maxConnections = options.connectionsMax ?? CONNECTIONS_MAX;
  limitPerAddress(server, options.perAddressMax ?? PER_ADDRESS_MAX);
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const status = REFUSALS.get(error.code ?? "") ?? "400 Bad Request";
    const refusal = `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`;
    // Cut and not only ended: a client that never closes its side would stay for ever.
    if (socket.writable) socket.end(refusal, () => socket.destroy());
    else socket.destroy();
  });
  try {
    server.listen({ port, ...(host === undefined ? {} : { host }) });
    await once(server, "listening");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    throw new AppError("invalid_settings", `--port: cannot listen on ${port}: ${code}`, {
      cause: error,
    });
  }
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      const closed = once(server, "close");
      server.close();
      server.closeIdleConnections();
      const insist = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
      await closed;
      clearTimeout(insist);
    },
  };
}
