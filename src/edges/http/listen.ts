import { once } from "node:events";
import http, { type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { AppError } from "#core/errors.ts";

/** An open port of the metadata endpoint. Disposing closes it within `DRAIN_MS`. */
export interface HttpListener extends AsyncDisposable {
  readonly port: number;
}

export interface ListenOptions {
  readonly port: number;
  /** Every interface when absent. */
  readonly host?: string;
  readonly handler: RequestListener;
}

const HEADER_BYTES_MAX = 16_384;
const HEADERS_WITHIN_MS = 5_000;
const REQUEST_WITHIN_MS = 10_000;
/** Longer than clients keep idle connections, so that they never send on one that is being closed. */
const KEEP_ALIVE_MS = 75_000;
const CONNECTIONS_MAX = 20_000;
const CHECK_EVERY_MS = 1_000;
const DRAIN_MS = 5_000;

/**
 * Serves pods over HTTP/1.1, bounded in headers, time and connections. What is not HTTP is answered
 * 400 and closed; bodies are never read.
 *
 * @throws {AppError} `invalid_settings` when the port cannot be listened on.
 */
export async function listen({ port, host, handler }: ListenOptions): Promise<HttpListener> {
  const server = http.createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_WITHIN_MS,
      requestTimeout: REQUEST_WITHIN_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: CHECK_EVERY_MS,
    },
    handler,
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.on("clientError", (_error, socket) => {
    if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
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
