import http from "node:http";
import https from "node:https";
import { AppError } from "#core/errors.ts";
import type { Identities, Identity } from "./identity.ts";
import type { KubernetesAnswer, KubernetesConnection, KubernetesRequest } from "./request.ts";

/** Connections to the API server at once: two watches, a list, events, and some room. */
const SOCKETS_MAX = 8;
/** After this silence the kernel asks whether the peer still lives, milliseconds. */
const TCP_KEEP_ALIVE_MS = 10_000;

export interface HttpConnectionOptions {
  readonly server: URL;
  readonly identities: Identities;
  /** Accept whatever certificate the API server shows (`insecure-skip-tls-verify`). */
  readonly insecure?: boolean;
  /** The name that the API server's certificate must carry, where it isn't the URL's host. */
  readonly serverName?: string | undefined;
}

/** The API server over plain `node:http(s)` with connections that are kept. */
export class HttpConnection implements KubernetesConnection {
  readonly #options: HttpConnectionOptions;
  #agent: http.Agent | undefined;
  #agentFor = "";

  constructor(options: HttpConnectionOptions) {
    this.#options = options;
  }

  async request(request: KubernetesRequest): Promise<KubernetesAnswer> {
    request.signal.throwIfAborted();
    const identity = await this.#options.identities.current();
    const answer = await this.#send(request, identity);
    if (answer.status !== 401) return answer;
    // The token may have been rotated since it was read; another one is worth another try.
    const renewed = await this.#options.identities.reread();
    if (renewed.token?.reveal() === identity.token?.reveal()) return answer;
    answer[Symbol.dispose]();
    return this.#send(request, renewed);
  }

  [Symbol.dispose](): void {
    this.#agent?.destroy();
    this.#agent = undefined;
  }

  #send(request: KubernetesRequest, identity: Identity): Promise<KubernetesAnswer> {
    const { server } = this.#options;
    const options: http.RequestOptions = {
      method: request.method,
      protocol: server.protocol,
      hostname: server.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: server.port,
      path: server.pathname.replace(/\/$/, "") + request.path,
      agent: this.#agentOf(identity),
      timeout: request.idleMs,
      headers: {
        accept: request.accept,
        "user-agent": "rolecall",
        ...(request.body === undefined ? {} : { "content-type": "application/json" }),
        ...(identity.token === undefined
          ? {}
          : { authorization: `Bearer ${identity.token.reveal()}` }),
      },
    };
    return exchange(server.protocol === "https:" ? https : http, options, request);
  }

  /** Kept connections were made with one certificate; another one needs connections of its own. */
  #agentOf({ authority, certificate, key }: Identity): http.Agent {
    const made = [authority, certificate, key?.reveal()].join("\n");
    if (this.#agent !== undefined && this.#agentFor === made) return this.#agent;
    const old = this.#agent;
    const { server, insecure = false, serverName } = this.#options;
    const options = { keepAlive: true, maxSockets: SOCKETS_MAX, maxFreeSockets: 2 };
    this.#agent =
      server.protocol === "https:"
        ? new https.Agent({
            ...options,
            rejectUnauthorized: !insecure,
            ...(authority === undefined ? {} : { ca: authority }),
            ...(certificate === undefined ? {} : { cert: certificate }),
            ...(key === undefined ? {} : { key: key.reveal() }),
            ...(serverName === undefined ? {} : { servername: serverName }),
          })
        : new http.Agent(options);
    this.#agentFor = made;
    old?.destroy();
    return this.#agent;
  }
}

function exchange(
  client: Pick<typeof http, "request">,
  options: http.RequestOptions,
  { body, idleMs, signal }: KubernetesRequest,
): Promise<KubernetesAnswer> {
  return new Promise((resolve, reject) => {
    const sent = client.request({ ...options, signal });
    let answer: http.IncomingMessage | undefined;
    sent.on("socket", (socket) => socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS));
    sent.on("timeout", () => {
      const silent = new Error(`no byte came for ${idleMs} ms`);
      // Destroying the request alone would tell the reader only that it was "aborted".
      answer?.destroy(silent);
      sent.destroy(silent);
    });
    sent.on("error", (error) => reject(signal.aborted ? signal.reason : unavailable(error)));
    sent.on("response", (response) => {
      answer = response;
      resolve({
        status: response.statusCode ?? 0,
        retryAfterMs: retryAfterMs(response.headers["retry-after"]),
        body: bodyOf(response, signal),
        [Symbol.dispose]: () => void response.destroy(),
      });
    });
    sent.end(body);
  });
}

async function* bodyOf(response: http.IncomingMessage, signal: AbortSignal): AsyncIterable<Buffer> {
  try {
    for await (const chunk of response) yield chunk as Buffer;
  } catch (error) {
    signal.throwIfAborted();
    throw unavailable(error);
  }
}

function unavailable(cause: unknown): AppError {
  return new AppError("kubernetes_unavailable", "Cannot reach the Kubernetes API server", {
    cause,
  });
}

function retryAfterMs(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1_000 : undefined;
}
