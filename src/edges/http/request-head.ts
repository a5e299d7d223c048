import type { HttpHeaders } from "./http-message.ts";
import { BODY_BYTES_MAX } from "./request-body.ts";
import { RequestFields, lineEnd } from "./request-fields.ts";
import { type RequestLine, readRequestLine } from "./request-line.ts";

/** A request as far as its head tells it. */
export interface RequestHead extends RequestLine {
  readonly headers: HttpHeaders;
  /** Whether the client takes another answer on this connection. */
  readonly isKept: boolean;
  /** Whether the client waits for a word before it sends its body. */
  readonly expectsContinue: boolean;
  /** Bytes of the body, if they are known beforehand. */
  readonly body: number | "chunked";
}

/** The status that a client is told whose request can't be read. */
export type Refusal = 400 | 408 | 413 | 417 | 431;

const HOST = /^[\w.:[\]%~-]*$/;
/** A control character, or a line's end that is only half of one. */
const FORBIDDEN = /[\0-\x08\v\f\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n/;
const FORBIDDEN_FROM = new RegExp(FORBIDDEN, "g");

/**
 * Reads the head of one request, without the empty line that ends it; one character is one byte.
 *
 * What could be read in two ways is refused: this is RFC 9112 with none of its leniency, so no folded
 * lines, no bare line feeds, no blanks around names, no doubled or doubtful lengths.
 */
export function readRequestHead(head: string): RequestHead | Refusal {
  if (FORBIDDEN.test(head)) return 400;
  const end = lineEnd(head, 0);
  const line = readRequestLine(head.slice(0, end));
  if (line === undefined) return 400;
  const headers = RequestFields.read(head, end + 2);
  if (typeof headers === "number") return headers;
  const { isOld } = line;
  const body = bodyOf(headers, isOld);
  if (body === undefined || !hasHost(headers, isOld)) return 400;
  if (body !== "chunked" && body > BODY_BYTES_MAX) return 413;
  const expected = isOld ? undefined : headers.get("expect")?.toLowerCase();
  if (expected !== undefined && expected !== "100-continue") return 417;
  return {
    ...line,
    headers,
    isKept: isKept(headers.get("connection"), isOld),
    expectsContinue: expected !== undefined && body !== 0,
    body,
  };
}

/**
 * Whether bytes that are no whole head yet may become one, `from` on: a client that speaks something
 * else, or ends its lines in another way, is told so at once.
 */
export function mayBecomeHead(text: string, from: number): boolean {
  const first = text.charCodeAt(0);
  if (first < 0x41 || first > 0x5a) return false;
  // What was last of all when it was looked at may have been half of a line's end, as may be what is now.
  FORBIDDEN_FROM.lastIndex = Math.max(0, from - 1);
  const found = FORBIDDEN_FROM.exec(text)?.index;
  return found === undefined || (found === text.length - 1 && text.endsWith("\r"));
}

function hasHost(headers: HttpHeaders, isOld: boolean): boolean {
  const host = headers.get("host");
  return host === undefined ? isOld : HOST.test(host);
}

/** What is known of the body; undefined when two readers could see its end in two places. */
function bodyOf(headers: HttpHeaders, isOld: boolean): number | "chunked" | undefined {
  const length = headers.get("content-length");
  const coding = headers.get("transfer-encoding");
  if (coding !== undefined) {
    const isPlain = coding.toLowerCase() === "chunked" && length === undefined && !isOld;
    return isPlain ? "chunked" : undefined;
  }
  if (length === undefined) return 0;
  return /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

function isKept(connection: string | undefined, isOld: boolean): boolean {
  if (connection === undefined) return !isOld;
  const wishes = connection.toLowerCase().split(",");
  const wants = (wish: string): boolean => wishes.some((word) => word.trim() === wish);
  // What follows a wish for another protocol may be that protocol's.
  if (wants("close") || wants("upgrade")) return false;
  return !isOld || wants("keep-alive");
}
