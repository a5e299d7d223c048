import { readRequestHead, type Refusal, type RequestHead } from "./request-head.ts";

/** With 2 MiB for what clients send, this holds a full node's pods, each with a token of its own. */
const HEADS_MAX = 1_024;
const HEAD_LENGTH_MAX = 2_048;

/** The heads that a server has read: most clients ask for the same again, on the same connection or on the next one. */
export class RequestHeads {
  readonly #known = new Map<string, RequestHead>();

  /** Reads a head as `readRequestHead` does. */
  read(text: string): RequestHead | Refusal {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const head = readRequestHead(text);
    if (typeof head !== "number" && text.length <= HEAD_LENGTH_MAX) {
      if (this.#known.size >= HEADS_MAX) this.#known.clear();
      this.#known.set(text, head);
    }
    return head;
  }
}
