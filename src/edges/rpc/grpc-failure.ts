import type { Code } from "./grpc-code.ts";

/** What a server said about a call that failed: its trailers, or headers when it said nothing else. */
export type Trailers = Readonly<Record<string, string | string[] | undefined>>;

/** How a call ended that did not end well. */
export class GrpcFailure extends Error {
  readonly code: Code;
  /** Undefined when it was not the server that ended the call. */
  readonly trailers: Trailers | undefined;

  constructor(code: Code, text: string, how: { trailers?: Trailers; cause?: unknown } = {}) {
    super(text, how.cause === undefined ? {} : { cause: how.cause });
    this.code = code;
    this.trailers = how.trailers;
  }

  /** The one value of a trailer; undefined when there is none. */
  trailer(name: string): string | undefined {
    const value = this.trailers?.[name];
    return typeof value === "string" ? value : undefined;
  }
}
