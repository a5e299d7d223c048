import type { Socket } from "node:net";

/** One for all, since each would hold where it was made. */
const WENT_AWAY = new Error("the client went away");

/** Who is at the other end of a connection, and whether it still is. */
export class ClientPresence {
  readonly #socket: Socket;
  #gone: AbortController | undefined;

  constructor(socket: Socket) {
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

  /** One for all requests of the connection, made when it is first asked for: it costs as much as answering one. */
  get signal(): AbortSignal {
    if (this.#gone === undefined) {
      this.#gone = new AbortController();
      if (this.isGone) this.leave();
    }
    return this.#gone.signal;
  }

  /** The client is gone. */
  leave(): void {
    this.#gone?.abort(WENT_AWAY);
  }
}
