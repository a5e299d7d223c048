import { AppError } from "#core/errors.ts";
import { normalizeAddress } from "#core/pod/address.ts";
import { queryValue } from "#core/imds/path.ts";
import type {
  HttpAnswer,
  HttpHandler,
  HttpHeaders,
  HttpRequest,
} from "#edges/http/http-message.ts";
import { answerAsAws } from "./aws-answers.ts";
import { answerAsKiam } from "./kiam-compatible.ts";
import type { AnsweredEvent, EndpointParts, MetadataRequest } from "./metadata-request.ts";

export interface EndpointOptions extends EndpointParts {
  readonly kiamCompatible: boolean;
  /** Believes `?ip=`. Development only. */
  readonly allowIpQuery: boolean;
  readonly observe: (event: AnsweredEvent) => void;
}

/** Of what no answer was made. */
const UNEXPECTED: HttpAnswer = { status: 500, headers: {}, body: "" };

/** The way of one request: whose it is, what the answer is, what is told of it. */
export function metadataEndpoint(options: EndpointOptions): HttpHandler {
  const answerFor = options.kiamCompatible ? answerAsKiam : answerAsAws;

  const answer = async (request: HttpRequest): Promise<HttpAnswer> => {
    const started = performance.now();
    const address = addressOf(request, options.allowIpQuery);
    const asked = new PodRequest(request, address);
    const { answer, handler, path, error, isBlocked = false } = await answerFor(asked, options);
    const { method } = request;
    const { status } = answer;
    if (request.isGone) return answer;
    const ms = performance.now() - started;
    options.observe({ handler, method, path, address, status, ms, error, isBlocked });
    return answer;
  };

  return (request) =>
    answer(request).catch((error: unknown) => {
      if (request.isGone) return UNEXPECTED;
      options.observe({
        handler: undefined,
        method: request.method,
        path: "",
        address: "",
        status: 500,
        ms: 0,
        error: AppError.from(error),
        isBlocked: false,
      });
      return UNEXPECTED;
    });
}

/**
 * A class, because V8 gives each literal with a getter a shape of its own, which then keeps the request
 * until the next full collection.
 */
class PodRequest implements MetadataRequest {
  readonly method: string;
  readonly target: string;
  readonly address: string;
  readonly headers: HttpHeaders;
  readonly #request: HttpRequest;

  constructor(request: HttpRequest, address: string) {
    this.method = request.method;
    this.target = request.target;
    this.address = address;
    this.headers = request.headers;
    this.#request = request;
  }

  get signal(): AbortSignal {
    return this.#request.signal;
  }
}

/** The address of the connection; headers are never believed. */
function addressOf({ target, remoteAddress }: HttpRequest, allowIpQuery: boolean): string {
  const claimed = allowIpQuery ? queryValue(target.split("?", 2)[1] ?? "", "ip") : undefined;
  return normalizeAddress(claimed || remoteAddress);
}
