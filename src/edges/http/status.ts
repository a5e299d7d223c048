import type { ErrorCode } from "#core/errors.ts";

/**
 * What each code is on HTTP (specs/aws-clients.md §10): 404 ends a client's search without a retry,
 * 500 makes it retry or keep what it has. 503 would make some clients drop it, so it is not used
 * for what a pod cannot help.
 */
export const HTTP_STATUS = {
  pod_not_found: 500,
  pod_ambiguous: 500,
  host_network: 404,
  token_invalid: 401,
  token_expired: 401,
  token_key_unknown: 500,
  no_role: 404,
  invalid_role: 404,
  invalid_external_id: 404,
  role_mismatch: 404,
  namespace_unknown: 500,
  namespace_forbids: 404,
  invalid_expression: 404,
  sts_denied: 200,
  sts_throttled: 500,
  sts_unavailable: 500,
  server_unavailable: 500,
  not_ready: 500,
  overloaded: 503,
  kubernetes_unavailable: 500,
  kubernetes_refused: 500,
  kubernetes_gone: 500,
  invalid_settings: 500,
  internal: 500,
} as const satisfies Record<ErrorCode, number>;

/**
 * The HTTP status of a failure on the container credentials endpoint. Its clients take no 200 without
 * keys, and read the reason in the body of whatever is 4xx.
 */
export function containerStatus(code: ErrorCode): number {
  return code === "sts_denied" ? 403 : HTTP_STATUS[code];
}

/** The HTTP status of a failure on the metadata endpoint. */
export function httpStatus(code: ErrorCode): number {
  return HTTP_STATUS[code];
}
