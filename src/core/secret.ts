/**
 * A text that must never reach logs, metrics, events, errors or disk.
 *
 * Every way of printing it says `[secret]`; only `reveal` gives it away, so that a search for
 * `reveal(` lists every place where a secret leaves the process.
 */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text itself, for the wire only. */
  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "[secret]";
  }
}
