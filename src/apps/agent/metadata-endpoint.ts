import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { AppError } from "#core/errors.ts";
import type { MetadataAnswer } from "#core/imds/answers.ts";
import { normalizeAddress } from "#core/pod/address.ts";
import { queryValue } from "#core/imds/path.ts";
import { answerAsAws } from "./aws-answers.ts";
import { answerAsKiam } from "./kiam-compatible.ts";
import type { AnsweredEvent, EndpointParts, MetadataRequest } from "./metadata-request.ts";

export interface EndpointOptions extends EndpointParts {
  readonly kiamCompatible: boolean;
  /** Believes `?ip=`. Development only. */
  readonly allowIpQuery: boolean;
  readonly observe: (event: AnsweredEvent) => void;
}

/** The way of one request: whose it is, what the answer is, what is told of it. */
export function metadataEndpoint(options: EndpointOptions): RequestListener {
  const answerFor = options.kiamCompatible ? answerAsKiam : answerAsAws;

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const started = performance.now();
    const gone = new AbortController();
    response.once("close", () => gone.abort(new Error("the client went away")));
    const asked: MetadataRequest = {
      method: request.method ?? "GET",
      target: request.url ?? "/",
      address: addressOf(request, options.allowIpQuery),
      headers: request.headers,
      signal: gone.signal,
    };
    const { answer, handler, path, error, isBlocked = false } = await answerFor(asked, options);
    if (response.destroyed) return;
    send(response, answer, asked.method === "HEAD");
    options.observe({
      handler,
      method: asked.method,
      path,
      address: asked.address,
      status: answer.status,
      ms: performance.now() - started,
      error,
      isBlocked,
    });
  };

  return (request, response) => {
    // A body has no meaning here; it is let go by, and the connection's limits bound it.
    request.resume();
    handle(request, response).catch((error: unknown) => {
      if (response.destroyed) return;
      const failure = AppError.from(error);
      if (!response.headersSent) response.writeHead(500, { "content-length": 0 });
      response.end();
      options.observe({
        handler: undefined,
        method: request.method ?? "",
        path: "",
        address: "",
        status: 500,
        ms: 0,
        error: failure,
        isBlocked: false,
      });
    });
  };
}

/** The address of the connection; headers are never believed. */
function addressOf(request: IncomingMessage, allowIpQuery: boolean): string {
  const query = request.url?.split("?", 2)[1] ?? "";
  const claimed = allowIpQuery ? queryValue(query, "ip") : undefined;
  return normalizeAddress(claimed || (request.socket.remoteAddress ?? ""));
}

function send(
  response: ServerResponse,
  { status, headers, body }: MetadataAnswer,
  isHead: boolean,
) {
  response.writeHead(status, { ...headers, "Content-Length": Buffer.byteLength(body) });
  response.end(isHead ? undefined : body);
}
