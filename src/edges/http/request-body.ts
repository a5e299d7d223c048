/** The most bytes that a body may have; requests of these endpoints have no use for any. */
export const BODY_BYTES_MAX = 65_536;
/** Hexadecimal. More digits are more bytes than a body may have. */
const CHUNK_SIZE = /^[0-9a-f]{1,8}$/i;
const CHUNK_LINE_MAX = 8;

/**
 * Lets the body of one request go by. Chunks have to be plain: clients of these endpoints name no
 * extensions and send no trailers, and both have served to make two readers disagree.
 */
export class RequestBody {
  /** `more` while its end has not come; a number is the status of a body that can't be taken. */
  state: "more" | "over" | 400 | 413 = "more";
  readonly #isChunked: boolean;
  /** Bytes that come before the next line of the chunked form. */
  #left: number;
  #taken = 0;
  #expects: "size" | "end of chunk" | "end of body" = "size";

  constructor(body: number | "chunked") {
    this.#isChunked = body === "chunked";
    this.#left = body === "chunked" ? 0 : body;
  }

  /** Takes what there is of the body in `text` from `at`, and returns where it stopped. */
  take(text: string, at: number): number {
    let here = at;
    for (;;) {
      const taken = Math.min(this.#left, text.length - here);
      here += taken;
      this.#left -= taken;
      if (this.#left > 0) return here;
      if (!this.#isChunked) this.state = "over";
      if (this.state !== "more") return here;
      const end = text.indexOf("\r\n", here);
      if (end === -1) {
        if (text.length - here > CHUNK_LINE_MAX + 1) this.state = 400;
        return here;
      }
      this.#readLine(text.slice(here, end));
      here = end + 2;
    }
  }

  #readLine(line: string): void {
    if (this.#expects === "size") {
      const size = CHUNK_SIZE.test(line) ? Number.parseInt(line, 16) : Number.NaN;
      this.#taken += size;
      this.#left = size;
      this.#expects = size === 0 ? "end of body" : "end of chunk";
      if (Number.isNaN(size)) this.state = 400;
      else if (this.#taken > BODY_BYTES_MAX) this.state = 413;
    } else if (line !== "") {
      this.state = 400;
    } else if (this.#expects === "end of body") {
      this.state = "over";
    } else {
      this.#expects = "size";
    }
  }
}
