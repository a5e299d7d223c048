import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { AppError } from "#core/errors.ts";
import {
  failureAnswer,
  type MetadataAnswer,
  TOKEN_HEADER,
  TTL_HEADER,
} from "#core/imds/answers.ts";
import { kiamError } from "#core/imds/kiam-answers.ts";
import { normalizeAddress } from "#core/pod/address.ts";
import { httpStatus } from "#edges/http/status.ts";
import type { Answered, MetadataEndpointOptions, MetadataRequest } from "./routes/exchange.ts";
import { answerImds } from "./routes/imds.ts";
import { answerKiam } from "./routes/kiam.ts";

export type { MetadataEndpointOptions, MetadataEvent } from "./routes/exchange.ts";

/** What is counted for a client that left before its answer; it is never sent. */
const CLIENT_LEFT = 499;

/** Serves 169.254.169.254 to pods. Whatever happens inside is answered; nothing leaves as a throw. */
export function metadataEndpoint(options: MetadataEndpointOptions): RequestListener {
  const answerRoute = options.kiamCompatible ? answerKiam : answerImds;

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedAt = options.clock.now();
    const leaving = new AbortController();
    response.on("close", () => {
      if (!response.writableFinished) leaving.abort(new AppError("internal", "The client left."));
    });
    const request = readRequest(incoming, leaving.signal);
    const answered = await answerRoute(options, request).catch((error: unknown) =>
      failed(options, AppError.from(error)),
    );
    write(response, answered.answer, request.method);
    if (answered.handler === undefined) return;
    options.observe?.({
      type: "answered",
      handler: answered.handler,
      status: leaving.signal.aborted ? CLIENT_LEFT : answered.answer.status,
      seconds: (options.clock.now() - startedAt) / 1_000,
      outcome: answered.outcome ?? "success",
      address: request.address,
      code: answered.code,
    });
  }

  return (incoming, response) => {
    serve(incoming, response).catch(() => response.destroy());
  };
}

function readRequest(incoming: IncomingMessage, signal: AbortSignal): MetadataRequest {
  return {
    method: incoming.method ?? "GET",
    target: incoming.url ?? "/",
    address: normalizeAddress(incoming.socket.remoteAddress ?? ""),
    token: headerOf(incoming, TOKEN_HEADER),
    ttl: headerOf(incoming, TTL_HEADER),
    isForwarded: incoming.headers["x-forwarded-for"] !== undefined,
    signal,
  };
}

function headerOf(incoming: IncomingMessage, name: string): string | undefined {
  const value = incoming.headers[name];
  return Array.isArray(value) ? value.join(",") : value;
}

function failed({ kiamCompatible, clock }: MetadataEndpointOptions, error: AppError): Answered {
  return {
    answer: kiamCompatible
      ? kiamError(500, error.message)
      : failureAnswer(error, httpStatus(error.code), clock.now()),
    handler: "proxy",
    outcome: "error",
    code: error.code,
  };
}

function write(response: ServerResponse, answer: MetadataAnswer, method: string): void {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(answer.status, {
    ...answer.headers,
    "Content-Length": Buffer.byteLength(answer.body),
  });
  response.end(method === "HEAD" ? undefined : answer.body);
}
