import { constants } from "node:http2";
import type { ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import { Code, codeFrom, codeName } from "./grpc-code.ts";
import { GrpcFailure, type Trailers } from "./grpc-failure.ts";
import { framed, GrpcMessages } from "./grpc-messages.ts";

export interface GrpcCall {
  readonly request: Uint8Array;
  /** Called with the headers of the answer, before its messages. */
  readonly onHeaders?: ((headers: IncomingHttpHeaders) => void) | undefined;
  /** Called with each message. What it throws ends the call. */
  readonly onMessage: (message: Uint8Array) => void;
  readonly signal: AbortSignal;
}

/** The headers of a call (gRPC over HTTP/2, "Requests"); the time is how long the caller will wait. */
export function callHeaders(timeoutMs?: number): OutgoingHttpHeaders {
  return {
    ":method": "POST",
    "content-type": "application/grpc",
    te: "trailers",
    ...(timeoutMs === undefined ? {} : { "grpc-timeout": `${Math.ceil(timeoutMs)}m` }),
  };
}

/**
 * Makes one call on a stream that was opened for it, and resolves when the server has ended it well.
 *
 * @throws {GrpcFailure} with the server's own status; `Canceled` once the signal aborts; `Unavailable` when the
 * stream ends without a status, or is not gRPC's.
 * @throws whatever `onMessage` did.
 */
export function grpcCall(
  stream: ClientHttp2Stream,
  { request, onHeaders, onMessage, signal }: GrpcCall,
): Promise<void> {
  const messages = new GrpcMessages();
  const ended = Promise.withResolvers<void>();
  let isOver = false;
  let status: IncomingHttpHeaders | undefined;
  const end = (failure: unknown): void => {
    if (isOver) return;
    isOver = true;
    signal.removeEventListener("abort", abort);
    if (failure === undefined) ended.resolve();
    else ended.reject(failure);
  };
  const fail = (failure: unknown): void => {
    end(failure);
    stream.close(constants.NGHTTP2_CANCEL);
  };
  const abort = (): void => fail(new GrpcFailure(Code.Canceled, "the caller stopped waiting"));

  stream.on("response", (headers) => {
    const type = headers["content-type"] ?? "";
    if (headers[":status"] !== 200 || !/^application\/grpc(?:[+;]|$)/.test(type)) {
      const text = `what answered speaks no gRPC: ${headers[":status"]} ${type.slice(0, 100)}`;
      fail(new GrpcFailure(Code.Unavailable, text));
      return;
    }
    if ("grpc-status" in headers) status = headers;
    onHeaders?.(headers);
  });
  stream.on("trailers", (trailers) => (status = trailers));
  stream.on("data", (chunk: Buffer) => {
    try {
      for (const message of messages.add(chunk)) {
        if (isOver) return;
        onMessage(message);
      }
    } catch (error) {
      fail(error);
    }
  });
  stream.on("error", (cause) => end(new GrpcFailure(Code.Unavailable, cause.message, { cause })));
  stream.on("close", () => end(failureOf(status, messages.isWhole)));
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  else stream.end(framed(request));
  return ended.promise;
}

function failureOf(
  status: IncomingHttpHeaders | undefined,
  isWhole: boolean,
): GrpcFailure | undefined {
  if (status === undefined) {
    return new GrpcFailure(Code.Unavailable, "the call ended without a status");
  }
  const trailers: Trailers = status;
  const code = codeFrom(String(trailers["grpc-status"]));
  if (code !== undefined) {
    return new GrpcFailure(code, textOf(trailers) || codeName(code), { trailers });
  }
  return isWhole ? undefined : new GrpcFailure(Code.Internal, "a message is cut short");
}

function textOf(trailers: Trailers): string {
  const text = String(trailers["grpc-message"] ?? "");
  try {
    return decodeURIComponent(text);
  } catch {
    // Not encoded as it should be: as it came, it says more than nothing.
    return text;
  }
}
