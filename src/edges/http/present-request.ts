import type { ClientPresence } from "./client-presence.ts";
import type { HttpHeaders, HttpRequest } from "./http-message.ts";
import type { RequestHead } from "./request-head.ts";

/** A request that is being answered. */
export class PresentRequest implements HttpRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: HttpHeaders;
  readonly #client: ClientPresence;

  constructor({ method, target, headers }: RequestHead, client: ClientPresence) {
    this.method = method;
    this.target = target;
    this.headers = headers;
    this.#client = client;
  }

  get remoteAddress(): string {
    return this.#client.remoteAddress;
  }

  get localAddress(): string {
    return this.#client.localAddress;
  }

  get isGone(): boolean {
    return this.#client.isGone;
  }

  get signal(): AbortSignal {
    return this.#client.signal;
  }
}
