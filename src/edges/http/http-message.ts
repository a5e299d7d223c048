/** The headers of a request. */
export interface HttpHeaders {
  /** A header's value by its name in lower case; values of a name that came twice, joined by `, `. */
  get(name: string): string | undefined;
}

/** One request, without its body: none has a meaning on these endpoints. */
export interface HttpRequest {
  readonly method: string;
  /** The request target as it came. */
  readonly target: string;
  readonly headers: HttpHeaders;
  /** The two ends of the connection, as the kernel spells them. */
  readonly remoteAddress: string;
  readonly localAddress: string;
  /** Whether the client has left, so that no answer reaches it. */
  readonly isGone: boolean;
  /** Aborted when the client leaves before its answer. */
  readonly signal: AbortSignal;
}

/** One answer. What belongs to the connection (length, date, whether it stays) is added to it. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Answers at once or later. What it throws or rejects with is answered as status 500. */
export type HttpHandler = (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>;
