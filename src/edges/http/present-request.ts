import type { Socket } from "node:net";
import type { HttpHeaders, HttpRequest } from "./http-message.ts";
import type { RequestHead } from "./request-head.ts";

/** A request that is being answered. */
export class PresentRequest implements HttpRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: HttpHeaders;
  readonly #socket: Socket;
  #gone: AbortController | undefined;

  constructor({ method, target, headers }: RequestHead, socket: Socket) {
    this.method = method;
    this.target = target;
    this.headers = headers;
    this.#socket = socket;
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? "";
  }

  get localAddress(): string {
    return this.#socket.localAddress ?? "";
  }

  get isGone(): boolean {
    return this.#socket.destroyed;
  }

  get signal(): AbortSignal {
    // Made only when it is asked for: it costs as much as the rest of a request.
    if (this.#gone === undefined) {
      this.#gone = new AbortController();
      if (this.isGone) this.leave();
    }
    return this.#gone.signal;
  }

  /** The client is gone. */
  leave(): void {
    this.#gone?.abort(new Error("the client went away"));
  }
}
