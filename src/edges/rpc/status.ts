import { AppError, ERRORS } from "#core/errors.ts";
import type { ErrorCode } from "#core/errors.ts";
import { Code, codeName } from "./grpc-code.ts";
import { GrpcFailure } from "./grpc-failure.ts";

/** The calls of `kiam.KiamService`. */
export type KiamMethod = "GetPodRole" | "GetPodCredentials" | "GetHealth";

/** The calls of `rolecall.v1.NodeFeed`. */
export type FeedMethod = "Follow" | "Report";

/** Every call between agents and servers. */
export type RpcMethod = KiamMethod | FeedMethod;

interface Status {
  readonly code: Code;
  /** Kiam's exact text; without one the error's own sentence is the text. */
  readonly role?: string;
  readonly credentials?: string;
}

/** `forbidden by policy` is the only text after which Kiam's agents don't try again for 5 s. */
const FORBIDDEN: Status = { code: Code.Unknown, credentials: "forbidden by policy" };
const AMBIGUOUS: Status = {
  code: Code.Unknown,
  role: "multiple running pods found",
  credentials: "multiple running pods found",
};
/** STS errors are said as Kiam says them, `Code: message`, which is how they come from the AWS edge. */
const PLAIN: Status = { code: Code.Unknown };
const AWAY: Status = { code: Code.Unavailable };

/**
 * The gRPC status of every error code (specs: kiam.md §3.2, §3.3). Whatever Kiam's handlers return has
 * code Unknown and is told apart by its text; Unavailable means "ask another server".
 */
export const RPC_STATUS = {
  pod_not_found: { code: Code.Unknown, role: "pod not found", credentials: "no pod found" },
  pod_ambiguous: AMBIGUOUS,
  host_network: AMBIGUOUS,
  token_invalid: PLAIN,
  token_expired: PLAIN,
  token_key_unknown: PLAIN,
  no_role: { code: Code.Unknown, credentials: "role can't be empty" },
  invalid_role: FORBIDDEN,
  invalid_external_id: FORBIDDEN,
  role_mismatch: FORBIDDEN,
  namespace_unknown: PLAIN,
  namespace_forbids: FORBIDDEN,
  invalid_expression: FORBIDDEN,
  sts_denied: PLAIN,
  sts_throttled: PLAIN,
  sts_unavailable: PLAIN,
  server_unavailable: AWAY,
  not_ready: AWAY,
  overloaded: AWAY,
  kubernetes_unavailable: AWAY,
  kubernetes_refused: AWAY,
  kubernetes_gone: AWAY,
  invalid_settings: PLAIN,
  internal: PLAIN,
} as const satisfies Record<ErrorCode, Status>;

/** Trailers that Kiam's clients ignore and Rolecall's prefer: the code, and its sentence URI-encoded. */
const CODE_TRAILER = "rolecall-code";
const REASON_TRAILER = "rolecall-reason";
/** The longest text that travels, in characters: trailers must fit a peer's limit of 8 kB. */
const TEXT_CHARS_MAX = 1_000;

/** A failure as it goes on the wire. */
export interface WireStatus {
  readonly code: Code;
  readonly text: string;
  readonly trailers: Readonly<Record<string, string>>;
}

/** What goes on the wire for a failure. Neither its cause nor its stack does. */
export function errorToStatus(method: RpcMethod, error: AppError): WireStatus {
  const status: Status = RPC_STATUS[error.code];
  const exact = method === "GetPodRole" ? status.role : status.credentials;
  const reason = presentable(error.message);
  const trailers = { [CODE_TRAILER]: error.code, [REASON_TRAILER]: encodeURIComponent(reason) };
  return { code: status.code, text: exact ?? reason, trailers };
}

/** What a server answered, or that it didn't answer as a server (`server_unavailable`). */
export function errorFromStatus(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const failure = error instanceof GrpcFailure ? error : new GrpcFailure(Code.Unknown, "");
  const code = failure.trailer(CODE_TRAILER);
  if (code !== undefined && Object.hasOwn(ERRORS, code)) {
    const reason = decoded(failure.trailer(REASON_TRAILER) ?? "");
    return new AppError(code as ErrorCode, reason || presentable(failure.message));
  }
  if (failure.code === Code.Unknown && failure.trailers !== undefined) {
    return fromKiamText(presentable(failure.message));
  }
  const name = codeName(failure.code);
  return new AppError("server_unavailable", `Server did not answer: ${name}`, { cause: error });
}

/** Whether another server may know better within the same request. */
export function isWorthAnotherServer({ code }: AppError): boolean {
  return RPC_STATUS[code].code === Code.Unavailable || code === "internal";
}

/** Kiam's server says what is wrong by its text alone. */
function fromKiamText(text: string): AppError {
  const exact = KIAM_TEXTS.get(text);
  if (exact !== undefined) return new AppError(exact, text);
  const awsCode = /^([A-Za-z][\w.]*): /.exec(text)?.[1];
  if (awsCode === undefined) return new AppError("internal", `Server answered: ${text}`);
  return new AppError(stsCode(awsCode), text);
}

const KIAM_TEXTS: ReadonlyMap<string, ErrorCode> = new Map([
  ["pod not found", "pod_not_found"],
  ["no pod found", "pod_not_found"],
  ["multiple running pods found", "pod_ambiguous"],
  ["forbidden by policy", "namespace_forbids"],
  ["role can't be empty", "no_role"],
] as const satisfies [string, ErrorCode][]);

function stsCode(awsCode: string): ErrorCode {
  if (/throttl|RequestLimitExceeded|TooManyRequests/i.test(awsCode)) return "sts_throttled";
  // What the SDK for Go says when nothing came back, and what STS says when it can't.
  const isAway = /^(RequestError|RequestCanceled|SerializationError|Internal|ServiceUnavail)/;
  return isAway.test(awsCode) ? "sts_unavailable" : "sts_denied";
}

/** Encoding lone surrogates throws, and an endless text would not fit a trailer. */
function presentable(text: string): string {
  return text.slice(0, TEXT_CHARS_MAX).toWellFormed();
}

function decoded(text: string): string {
  try {
    return presentable(decodeURIComponent(text));
  } catch {
    // A peer that isn't ours may send anything; the gRPC message is used instead.
    return "";
  }
}
