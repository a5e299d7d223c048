import { once } from "node:events";
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";

/** Bounds of a listener. Spans are milliseconds. */
export interface ListenLimits {
  /** Together, in bytes; more is answered 431. */
  readonly headersMaxBytes: number;
  /** More is answered 413. */
  readonly bodyMaxBytes: number;
  /** From the first byte of a request to the end of its headers; then 408. */
  readonly headersTimeoutMs: number;
  /** From the first byte of a request to its end; then 408. */
  readonly requestTimeoutMs: number;
  /** Longer than clients keep idle connections, so that none meets a closing one. */
  readonly keepAliveTimeoutMs: number;
  /** Room for 10,000 idle ones; further ones are closed at once. */
  readonly connectionsMax: number;
  /** How long requests may go on after the close began. */
  readonly closeMs: number;
}

export const LISTEN_LIMITS: ListenLimits = {
  headersMaxBytes: 16_384,
  bodyMaxBytes: 1_024,
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  keepAliveTimeoutMs: 75_000,
  connectionsMax: 12_000,
  closeMs: 5_000,
};

/** What a listener met that never became a request. */
export type ListenEvent =
  | { readonly type: "bad-request"; readonly status: number; readonly reason: string }
  | { readonly type: "body-refused" }
  | { readonly type: "connection-dropped" };

export interface ListenOptions {
  readonly port: number;
  /** Every interface, IPv4 and IPv6, when absent. */
  readonly host?: string;
  /** Called when the request's body has ended; what it throws must not leave it. */
  readonly handler: RequestListener;
  readonly limits?: Partial<ListenLimits>;
  /** Closes the listener when it aborts. */
  readonly signal: AbortSignal;
  readonly observe?: (event: ListenEvent) => void;
}

/** Half of Node's pause between looks for slow requests, so that the bounds hold closely. */
const CHECK_MS = 500;

/** Listens for HTTP/1.1 with every input bounded, and closes gracefully within `closeMs`. */
export async function listen(
  options: ListenOptions,
): Promise<AsyncDisposable & { readonly port: number }> {
  options.signal.throwIfAborted();
  const limits = { ...LISTEN_LIMITS, ...options.limits };
  const observe = options.observe ?? (() => {});
  const server = createServer({
    maxHeaderSize: limits.headersMaxBytes,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: CHECK_MS,
  });
  server.maxConnections = limits.connectionsMax;
  server.on("request", (request, response) => {
    if (!server.listening) response.setHeader("Connection", "close");
    whenBodyEnded(request, response, limits.bodyMaxBytes, observe, () => {
      options.handler(request, response);
    });
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const status = STATUS_OF_PARSER.get(error.code ?? "") ?? 400;
    observe({ type: "bad-request", status, reason: error.code ?? "unknown" });
    refuse(socket, status);
  });
  server.on("connect", (_request, socket) => refuse(socket, 405));
  server.on("drop", () => observe({ type: "connection-dropped" }));

  server.listen({ port: options.port, host: options.host, backlog: 4_096 });
  await once(server, "listening", { signal: options.signal });
  const close = closer(server, limits.closeMs);
  options.signal.addEventListener("abort", () => void close(), { once: true });
  return { port: (server.address() as AddressInfo).port, [Symbol.asyncDispose]: close };
}

const STATUS_OF_PARSER: ReadonlyMap<string, number> = new Map([
  ["HPE_HEADER_OVERFLOW", 431],
  ["ERR_HTTP_REQUEST_TIMEOUT", 408],
]);

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  405: "Method Not Allowed",
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
};

function refuse(socket: Duplex, status: number): void {
  // The peer may be gone already; its error is then nobody's.
  socket.on("error", () => {});
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const line = `HTTP/1.1 ${status} ${REASONS[status] ?? "Bad Request"}`;
  socket.end(`${line}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy());
}

/** Reads a body away, for no route has one; a long one is refused before it is read. */
function whenBodyEnded(
  request: IncomingMessage,
  response: ServerResponse,
  bodyMaxBytes: number,
  observe: (event: ListenEvent) => void,
  then: () => void,
): void {
  let bytes = 0;
  let isRefused = false;
  const refuseBody = (): void => {
    isRefused = true;
    observe({ type: "body-refused" });
    response.writeHead(413, { Connection: "close", "Content-Length": "0" });
    response.end(() => request.destroy());
  };
  if (Number(request.headers["content-length"] ?? 0) > bodyMaxBytes) {
    refuseBody();
    return;
  }
  request.on("error", () => {});
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > bodyMaxBytes && !isRefused) refuseBody();
  });
  request.on("end", () => {
    if (!isRefused) then();
  });
}

/** Ends idle connections at once, and those with a request when it is answered or time is up. */
function closer(server: Server, closeMs: number): () => Promise<void> {
  let closed: Promise<void> | undefined;
  return () => {
    closed ??= new Promise((resolve) => {
      const late = setTimeout(() => server.closeAllConnections(), closeMs);
      server.close(() => {
        clearTimeout(late);
        resolve();
      });
      server.closeIdleConnections();
    });
    return closed;
  };
}
