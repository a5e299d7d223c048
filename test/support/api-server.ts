import { once } from "node:events";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { Collection, Versions, type WatchFrame } from "./api-server/collection.ts";
import { answerJson, bodyText, statusObject, Wire } from "./api-server/wire.ts";
import type { KubernetesObject } from "./pods.ts";
import { ISSUER, jwks, type SigningKey } from "./token-issuer.ts";

/** An answer that is given instead of the right one. */
export interface Failure {
  readonly status: number;
  /** The `Retry-After` header, seconds. */
  readonly retryAfter?: number;
  readonly message?: string;
}

export interface ApiServerOptions {
  /** Bearer tokens that are accepted; without them nobody is asked for one. */
  readonly tokens?: Iterable<string>;
  /** PEM texts; with them it speaks HTTPS. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** How many changes of a collection are remembered for watches that resume. */
  readonly historyMax?: number;
  /** Time between bookmarks, milliseconds. */
  readonly bookmarkMs?: number;
}

/** What was asked for, counted when it arrives. */
export type Counted = "list" | "watch" | "events" | "refused";

/** Starts a simulated API server on a free port of 127.0.0.1. */
export async function startApiServer(options: ApiServerOptions = {}): Promise<ApiServer> {
  const server = new ApiServer(options);
  await server.start();
  return server;
}

/**
 * The part of the Kubernetes API server that Rolecall talks to: paged lists and watches of pods and
 * namespaces, events, and the issuer of service accounts' tokens. Its knobs make it fail in the ways in which real ones do.
 */
export class ApiServer implements AsyncDisposable {
  /** Event objects that were written. */
  readonly events: Record<string, unknown>[] = [];
  /** Bearer tokens that are accepted; empty = nobody is asked for one. */
  readonly tokens: Set<string>;
  /** Requests for each collection, as `pods list`, and `events`, counted when they arrive. */
  readonly requests = new Map<string, number>();
  /** Path and query of every request, in order. */
  readonly asked: string[] = [];
  /** What service accounts' tokens are signed with. */
  signingKeys: readonly SigningKey[] = [];
  /** Whether a version that is gone is told as the HTTP status 410 or as an ERROR frame. */
  goneAs: "frame" | "status" = "frame";
  readonly #options: ApiServerOptions;
  readonly #versions = new Versions();
  readonly #collections: Readonly<Record<string, Collection>>;
  readonly #wire = new Wire();
  readonly #failures: Failure[] = [];
  readonly #watches = new Set<ServerResponse>();
  readonly #pods: Collection;
  readonly #namespaces: Collection;
  #server: http.Server | undefined;
  #port = 0;

  constructor(options: ApiServerOptions) {
    const { historyMax = 1_000 } = options;
    this.#options = options;
    this.tokens = new Set(options.tokens);
    this.#pods = new Collection("Pod", this.#versions, historyMax);
    this.#namespaces = new Collection("Namespace", this.#versions, historyMax);
    this.#collections = { pods: this.#pods, namespaces: this.#namespaces };
  }

  get url(): string {
    return `${this.#options.tls === undefined ? "http" : "https"}://127.0.0.1:${this.#port}`;
  }

  /** Watches that are open now. */
  get watches(): number {
    return this.#watches.size;
  }

  /** Listens; after `stop` on the same port again. */
  async start(): Promise<void> {
    const { tls } = this.#options;
    const handle = (request: IncomingMessage, response: ServerResponse): void => {
      this.#handle(request, response).catch(() => response.destroy());
    };
    const server = tls === undefined ? http.createServer(handle) : https.createServer(tls, handle);
    server.listen(this.#port, "127.0.0.1");
    await once(server, "listening");
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Closes the port and every connection; objects and history stay. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  putPod(object: KubernetesObject): void {
    this.#pods.put(object);
  }

  removePod(namespace: string, name: string): void {
    this.#pods.remove(name, namespace);
  }

  putNamespace(object: KubernetesObject): void {
    this.#namespaces.put(object);
  }

  removeNamespace(name: string): void {
    this.#namespaces.remove(name);
  }

  /** Answers the next request with a failure; several calls queue. */
  failNext(failure: Failure): void {
    this.#failures.push(failure);
  }

  /** Cuts every connection; new ones are accepted. */
  dropConnections(): void {
    this.#server?.closeAllConnections();
  }

  /** Ends every watch in order, as the API server does when a watch's time is over. */
  endWatches(): void {
    for (const watch of this.#watches) this.#wire.send(() => watch.end());
  }

  /** Falls silent without closing anything: half-open connections. */
  freeze(): void {
    this.#wire.freeze();
  }

  thaw(): void {
    this.#wire.thaw();
  }

  /** Forgets the history: what was seen before can't be resumed, and begun lists can't be continued. */
  compact(): void {
    for (const collection of Object.values(this.#collections)) collection.compact();
  }

  /** Writes a bookmark to every open watch of a collection now. */
  bookmark(resource: "pods" | "namespaces"): void {
    const frame = this.#collections[resource]?.bookmark();
    if (frame !== undefined) this.writeRaw(`${JSON.stringify(frame)}\n`);
  }

  /** Writes a text as it is to every open watch. */
  writeRaw(text: string): void {
    for (const watch of this.#watches) this.#wire.send(() => watch.write(text));
  }

  /** How many requests of a kind came, as `count("pods", "list")`. */
  count(resource: string, kind: Counted): number {
    return this.requests.get(`${resource} ${kind}`) ?? 0;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", this.url);
    this.asked.push(`${url.pathname}${url.search}`);
    const resource = url.pathname.slice(url.pathname.lastIndexOf("/") + 1);
    const watch = url.searchParams.get("watch");
    const watched = watch === "1" || watch === "true";
    this.#counted(resource, resource === "events" ? "events" : watched ? "watch" : "list");
    const body = await bodyText(request);
    const failure = this.#refusal(request);
    this.#wire.send(() => {
      if (failure !== undefined) {
        this.#counted(resource, "refused");
        refuse(response, failure);
        return;
      }
      const collection = this.#collections[resource];
      const published = this.#published(url.pathname);
      if (
        request.method === "POST" &&
        /^\/api\/v1\/namespaces\/[^/]+\/events$/.test(url.pathname)
      ) {
        this.#createEvent(response, body);
      } else if (request.method === "GET" && published !== undefined) {
        answerAccepted(request, response, published);
      } else if (
        request.method !== "GET" ||
        url.pathname !== `/api/v1/${resource}` ||
        !collection
      ) {
        refuse(response, { status: 404, message: "the server could not find the resource" });
      } else if (watched) {
        this.#watch(response, collection, url.searchParams);
      } else {
        list(response, collection, url.searchParams);
      }
    });
  }

  #refusal(request: IncomingMessage): Failure | undefined {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
    if (this.tokens.size > 0 && !this.tokens.has(token)) {
      return { status: 401, message: "Unauthorized" };
    }
    return this.#failures.shift();
  }

  #published(path: string): Published | undefined {
    if (path === "/.well-known/openid-configuration") {
      const body = { issuer: ISSUER, jwks_uri: "https://elsewhere.invalid/openid/v1/jwks" };
      return { type: "application/json", body };
    }
    const body = jwks(this.signingKeys);
    return path === "/openid/v1/jwks" ? { type: "application/jwk-set+json", body } : undefined;
  }

  #createEvent(response: ServerResponse, body: string): void {
    const event = JSON.parse(body) as { metadata?: Record<string, unknown> };
    const name =
      event.metadata?.["name"] ??
      `${String(event.metadata?.["generateName"])}${this.#versions.next()}`;
    const stored = { ...event, metadata: { ...event.metadata, name } };
    this.events.push(stored);
    answerJson(response, 201, stored);
  }

  #watch(response: ServerResponse, collection: Collection, query: URLSearchParams): void {
    const missed = collection.since(Number(query.get("resourceVersion") ?? "0"));
    const expired = "too old resource version";
    if (missed === undefined && this.goneAs === "status") {
      refuse(response, { status: 410, message: expired });
      return;
    }
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    const write = (frame: WatchFrame): void =>
      this.#wire.send(() => response.write(`${JSON.stringify(frame)}\n`));
    if (missed === undefined) {
      write({ type: "ERROR", object: statusObject(410, expired) });
      this.#wire.send(() => response.end());
      return;
    }
    for (const frame of missed) write(frame);
    const unlisten = collection.listen(write);
    const bookmarks = query.get("allowWatchBookmarks") === "true";
    const bookmarking = setInterval(
      () => bookmarks && write(collection.bookmark()),
      this.#options.bookmarkMs ?? 60_000,
    );
    const seconds = Number(query.get("timeoutSeconds") ?? "1800");
    const ending = setTimeout(() => this.#wire.send(() => response.end()), seconds * 1_000);
    this.#watches.add(response);
    response.once("close", () => {
      unlisten();
      clearInterval(bookmarking);
      clearTimeout(ending);
      this.#watches.delete(response);
    });
  }

  #counted(resource: string, kind: Counted): void {
    this.requests.set(`${resource} ${kind}`, this.count(resource, kind) + 1);
  }
}

interface Published {
  readonly type: string;
  readonly body: object;
}

/** Real API servers insist on the exact type too. */
function answerAccepted(
  { headers }: IncomingMessage,
  response: ServerResponse,
  { type, body }: Published,
): void {
  if (headers.accept === "*/*" || headers.accept === type) answerJson(response, 200, body);
  else refuse(response, { status: 406, message: `only ${type} is served` });
}

function list(response: ServerResponse, collection: Collection, query: URLSearchParams): void {
  const page = collection.list(Number(query.get("limit") ?? "0"), query.get("continue"));
  if (page === undefined) {
    refuse(response, { status: 410, message: "The provided continue parameter is too old" });
    return;
  }
  answerJson(response, 200, {
    kind: `${collection.kind}List`,
    apiVersion: "v1",
    metadata: {
      resourceVersion: String(page.version),
      ...(page.next === undefined
        ? {}
        : { continue: page.next, remainingItemCount: page.remaining }),
    },
    items: page.items,
  });
}

function refuse(response: ServerResponse, { status, retryAfter, message = "" }: Failure): void {
  answerJson(
    response,
    status,
    statusObject(status, message),
    retryAfter === undefined ? {} : { "retry-after": String(retryAfter) },
  );
}
