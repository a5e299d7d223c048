import { RequestBody } from "./request-body.ts";
import { type Refusal, type RequestHead, mayBecomeHead } from "./request-head.ts";
import type { RequestHeads } from "./request-heads.ts";

/** The most bytes of one head. */
export const HEAD_BYTES_MAX = 16_384;

/** What is missing: a request, the rest of its head or of its body, or first our word to go on. */
export type Missing = "idle" | "head" | "body" | "continue";

interface BegunRequest {
  readonly head: RequestHead;
  readonly body: RequestBody;
}

const END = "\r\n\r\n";

/** Makes requests of the bytes of one connection, however they are cut. */
export class RequestReader {
  readonly #heads: RequestHeads;
  /** What came and was not read yet, one character a byte. */
  #input = "";
  /** How much of it is known to hold no end of a head. */
  #searched = 0;
  #begun: BegunRequest | undefined;

  constructor(heads: RequestHeads) {
    this.#heads = heads;
  }

  /** How many bytes wait to be read. */
  get waiting(): number {
    return this.#input.length;
  }

  add(chunk: Buffer): void {
    this.#input += chunk.toString("latin1");
  }

  /**
   * The next request once its body went by too, or why there is none: what is missing, or the status
   * with which the connection has to end.
   */
  next(): RequestHead | Refusal | Missing {
    if (this.#begun !== undefined) return this.#readBody(this.#begun);
    const input = this.#input;
    if (input === "") return "idle";
    const end = input.indexOf(END, Math.max(0, this.#searched - END.length + 1));
    if (end === -1 ? input.length > HEAD_BYTES_MAX : end > HEAD_BYTES_MAX) return 431;
    if (end === -1) {
      if (!mayBecomeHead(input, this.#searched)) return 400;
      this.#searched = input.length;
      return "head";
    }
    const head = this.#heads.read(input.slice(0, end));
    this.#input = input.slice(end + END.length);
    this.#searched = 0;
    if (typeof head === "number" || head.body === 0) return head;
    const begun = { head, body: new RequestBody(head.body) };
    this.#begun = begun;
    const next = this.#readBody(begun);
    return next === "body" && head.expectsContinue ? "continue" : next;
  }

  #readBody({ head, body }: BegunRequest): RequestHead | Refusal | Missing {
    this.#input = this.#input.slice(body.take(this.#input, 0));
    if (body.state === "more") return "body";
    this.#begun = undefined;
    return body.state === "over" ? head : body.state;
  }
}
