import type { HttpAnswer } from "./http-message.ts";

/** What an answer says of the connection that it goes over. */
export interface AnswerFrame {
  /** Whether the body is left out, although its length is told: HEAD. */
  readonly isHead: boolean;
  /** Undefined where the client takes for granted that the connection stays. */
  readonly connection: "close" | "keep-alive" | undefined;
  /** The present instant, as HTTP spells it. */
  readonly date: string;
}

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  301: "Moved Permanently",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  417: "Expectation Failed",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
};

/** What a header may hold; anything else could end it and begin another answer. */
const HEADER_VALUE = /^[\t -~]*$/;

/**
 * One answer as the client gets it, whole.
 *
 * @throws {TypeError} when a header's value is no plain text on one line.
 */
export function answerText(answer: HttpAnswer, { isHead, connection, date }: AnswerFrame): string {
  const { status, headers, body } = answer;
  let text = `HTTP/1.1 ${status} ${REASONS[status] ?? ""}\r\n`;
  for (const name in headers) {
    const value = headers[name] ?? "";
    if (!HEADER_VALUE.test(value)) throw new TypeError(`the header ${name} cannot be sent`);
    text += `${name}: ${value}\r\n`;
  }
  if (connection !== undefined) text += `Connection: ${connection}\r\n`;
  text += `Date: ${date}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
  return isHead ? text : text + body;
}

/** An answer that says nothing but its status. */
export function emptyAnswer(status: number): HttpAnswer {
  return { status, headers: {}, body: "" };
}
