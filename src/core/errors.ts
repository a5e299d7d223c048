/**
 * Every failure that somebody outside a function can act on, declared once.
 *
 * `retryable` says whether the same request may succeed later without anybody changing anything.
 * The wire forms are derived in `edges/http/status.ts` and `edges/rpc/status.ts`; the reference page
 * `docs/reference/errors.md` is generated from this table.
 */
export const ERRORS = {
  pod_not_found: {
    retryable: true,
    meaning: "No live pod is known at the address, or by the token, that asked.",
  },
  pod_ambiguous: {
    retryable: true,
    meaning:
      "Several live pods claim the address that asked, or its token names another one; none of them is guessed.",
  },
  host_network: {
    retryable: false,
    meaning: "The address belongs to pods on the host network, which share it with the node.",
  },
  token_invalid: {
    retryable: false,
    meaning:
      "No service account token came, or one that is not genuine, or not meant for the agent.",
  },
  token_expired: { retryable: false, meaning: "The service account token's time is over." },
  token_key_unknown: {
    retryable: true,
    meaning: "The key that signed the service account token is not known, or not known yet.",
  },
  no_role: { retryable: false, meaning: "The pod names no role." },
  invalid_role: {
    retryable: false,
    meaning: "The role that was named is not a role name, path/name or role ARN.",
  },
  invalid_external_id: {
    retryable: false,
    meaning: "The external-id annotation is not a valid STS external ID.",
  },
  role_mismatch: {
    retryable: false,
    meaning: "The pod asked for a role that is not the one it is annotated with.",
  },
  namespace_unknown: {
    retryable: true,
    meaning: "The pod's namespace has not been seen yet, so nothing is permitted.",
  },
  namespace_forbids: {
    retryable: false,
    meaning: "The namespace's expression does not permit the role.",
  },
  invalid_expression: {
    retryable: false,
    meaning: "The namespace's expression is not a valid RE2 expression, so nothing is permitted.",
  },
  sts_denied: {
    retryable: false,
    meaning: "STS refuses to assume the role: trust policy, permission, or the role is missing.",
  },
  sts_throttled: { retryable: true, meaning: "STS asks for fewer calls." },
  sts_unavailable: {
    retryable: true,
    meaning: "STS cannot be reached, or its answer cannot be used.",
  },
  server_unavailable: {
    retryable: true,
    meaning: "No Rolecall server answered the agent in time.",
  },
  not_ready: {
    retryable: true,
    meaning: "The process has not yet seen the cluster's present state.",
  },
  overloaded: { retryable: true, meaning: "A queue or limit is full." },
  kubernetes_unavailable: {
    retryable: true,
    meaning: "The Kubernetes API server cannot be reached, or asks to be left alone for a while.",
  },
  kubernetes_refused: {
    retryable: true,
    meaning:
      "The Kubernetes API server refuses the request: credentials, or a missing verb in RBAC.",
  },
  kubernetes_gone: {
    retryable: true,
    meaning: "The resource version asked for is too old; the collection is listed again.",
  },
  invalid_settings: { retryable: false, meaning: "A flag, variable or file cannot be used." },
  internal: { retryable: true, meaning: "A bug in Rolecall." },
} as const satisfies Record<string, { readonly retryable: boolean; readonly meaning: string }>;

/** The closed set of codes. */
export type ErrorCode = keyof typeof ERRORS;

/**
 * An expected failure: its message is safe to show to the caller, worth one log line and never a
 * stack trace. Hosts, secrets and upstream texts belong into `cause`.
 */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** Whether the same request may succeed later without anybody changing anything. */
  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }

  /** Turns whatever was caught into an AppError; what is not one is a bug and becomes `internal`. */
  static from(error: unknown): AppError {
    return error instanceof AppError
      ? error
      : new AppError("internal", "Internal error", { cause: error });
  }
}
