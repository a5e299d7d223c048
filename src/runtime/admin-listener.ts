import { once } from "node:events";
import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { AppError } from "#core/errors.ts";
import { formatAddress } from "./settings/address.ts";
import type { Address } from "./settings/setting.ts";

/** An open port; disposing closes it and every connection on it. */
export interface Listener extends AsyncDisposable {
  readonly address: Address;
}

/** Which port it is. */
export interface OperatorsPort {
  /** The setting that names the address, for messages. */
  readonly flag: string;
  readonly address: Address;
  /** Lets another process of the same user listen there too, as one that takes over does. */
  readonly shared?: boolean | undefined;
}

/** Admin pages are asked for by one or two scrapers. */
const CONNECTIONS_MAX = 64;
const HEADERS_WITHIN_MS = 5_000;
const REQUEST_WITHIN_MS = 10_000;
const HEADER_BYTES_MAX = 8_192;

/**
 * Opens a port for operators: GET and HEAD only, bounded in connections, headers and time.
 *
 * @throws {AppError} `invalid_settings` naming `flag` when the address cannot be listened on.
 */
export async function listenForOperators(
  { flag, address, shared = false }: OperatorsPort,
  answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<Listener> {
  // Importing node:http as a module evaluates its WebSocket export, which costs 13 MB.
  const http = process.getBuiltinModule("node:http");
  const server = http.createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_WITHIN_MS,
      requestTimeout: REQUEST_WITHIN_MS,
    },
    guarded(answer),
  );
  server.maxConnections = CONNECTIONS_MAX;
  await open(server, { flag, address, shared });
  const { address: host, port } = server.address() as AddressInfo;
  return {
    address: { host, port },
    [Symbol.asyncDispose]: async () => {
      if (!server.listening) return;
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function guarded(
  answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): RequestListener {
  return (request, response) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      sendText(response, 405, "method not allowed\n");
      return;
    }
    answer(request, response).catch(() => {
      // A page that fails halfway can only be cut; one that has not begun can say so.
      if (response.headersSent) response.destroy();
      else sendText(response, 500, "this page failed\n");
    });
  };
}

/** Answers with a short text. */
export function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    "content-type": "text/plain; charset=utf-8",
    "content-length": Buffer.byteLength(text),
    "x-content-type-options": "nosniff",
  });
  response.end(text);
}

async function open(server: Server, { flag, address, shared }: OperatorsPort): Promise<void> {
  const { host, port } = address;
  try {
    server.listen({ port, reusePort: shared, ...(host === "" ? {} : { host }) });
    await once(server, "listening");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    throw new AppError(
      "invalid_settings",
      `--${flag}: cannot listen on ${formatAddress(address)}: ${code}`,
      { cause: error },
    );
  }
}
