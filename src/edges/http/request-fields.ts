import type { HttpHeaders } from "./http-message.ts";

const FIELDS_MAX = 100;
const NAME = /^[\w!#$%&'*+.^`|~-]+$/;

/** The header fields of one request, in the order in which they came. */
export class RequestFields implements HttpHeaders {
  /** Names in lower case and values, in turn. */
  readonly #pairs: string[] = [];

  /**
   * Reads the lines of `head` from `at`, or the status to refuse them with: a name that is no token,
   * that nothing ends, or a line that goes on from the one before; or too many of them.
   */
  static read(head: string, at: number): RequestFields | 400 | 431 {
    const fields = new RequestFields();
    const pairs = fields.#pairs;
    for (let start = at; start < head.length;) {
      if (pairs.length === 2 * FIELDS_MAX) return 431;
      const end = lineEnd(head, start);
      const colon = head.indexOf(":", start);
      if (colon === -1 || colon > end) return 400;
      const name = head.slice(start, colon);
      if (!NAME.test(name)) return 400;
      pairs.push(name.toLowerCase(), withoutBlanks(head, colon + 1, end));
      start = end + 2;
    }
    return fields;
  }

  get(name: string): string | undefined {
    const pairs = this.#pairs;
    let found: string | undefined;
    for (let at = 0; at < pairs.length; at += 2) {
      if (pairs[at] !== name) continue;
      found = found === undefined ? pairs[at + 1] : `${found}, ${pairs[at + 1]}`;
    }
    return found;
  }
}

/** Where the line ends that `at` is in: its carriage return, or the end of the text. */
export function lineEnd(text: string, at: number): number {
  const end = text.indexOf("\r\n", at);
  return end === -1 ? text.length : end;
}

/** The part of a line without the blanks and tabs at its ends. */
function withoutBlanks(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
