import { AppError, type ErrorCode } from "#core/errors.ts";

/** STS's codes for "not now". */
const THROTTLED = new Set([
  "Throttling",
  "ThrottlingException",
  "RequestLimitExceeded",
  "TooManyRequestsException",
]);

/** STS's codes that stay true until somebody changes a policy, a role or an annotation. */
const DENIED = new Set([
  "AccessDenied",
  "AccessDeniedException",
  "ValidationError",
  "MalformedPolicyDocument",
  "MalformedPolicyDocumentException",
  "PackedPolicyTooLarge",
  "PackedPolicyTooLargeException",
  "RegionDisabledException",
  "NoSuchEntity",
]);

const OFF_TIME = /^Signature (?:expired|not yet current)/;

/**
 * What an SDK failure means to the session table. The message is for the pod's owners: AWS's code
 * and sentence without request ids, or one of ours that holds neither hosts nor bodies.
 */
export function stsError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const { name, message, status } = describe(error);
  const code = codeOf(name, status);
  const text =
    code === "sts_unavailable"
      ? `STS cannot be used: ${explain(name, message, status)}`
      : `${name}: ${withoutRequestId(message)}`;
  return new AppError(code, text, { cause: error });
}

interface Described {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
}

function describe(error: unknown): Described {
  if (!(error instanceof Error))
    return { name: "Unknown", message: String(error), status: undefined };
  const { $metadata: metadata, Code: awsCode } = error as {
    $metadata?: { httpStatusCode?: number };
    Code?: string;
  };
  return {
    name: awsCode ?? error.name,
    message: error.message,
    status: metadata?.httpStatusCode,
  };
}

function codeOf(name: string, status: number | undefined): ErrorCode {
  if (THROTTLED.has(name) || status === 429) return "sts_throttled";
  return DENIED.has(name) ? "sts_denied" : "sts_unavailable";
}

function explain(name: string, message: string, status: number | undefined): string {
  if (name === "ExpiredToken" || name === "ExpiredTokenException") {
    return "the server's own credentials have expired";
  }
  if (name === "CredentialsProviderError") {
    return "the server has no AWS credentials of its own";
  }
  // STS has no code of its own for a request from another time.
  const isOffTime = name === "SignatureDoesNotMatch" && OFF_TIME.test(message);
  if (isOffTime || name === "RequestExpired" || name === "RequestTimeTooSkewed") {
    return "the server's clock is off";
  }
  if (name === "SignatureDoesNotMatch" || name === "InvalidClientTokenId") {
    return `it does not accept the server's own credentials (${name})`;
  }
  const answer = status === undefined ? "it could not be reached" : `it answered ${status}`;
  return `${answer} (${name})`;
}

/** Kubernetes aggregates equal events only, so nothing in them may differ from call to call. */
function withoutRequestId(message: string): string {
  return message
    .replaceAll(/[\s,;(]*request ?id:?\s*[\w-]+\)?/gi, "")
    .replaceAll(/\s+/g, " ")
    .trim()
    .slice(0, 900);
}
