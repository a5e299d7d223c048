import { AppError } from "#core/errors.ts";

/** A verb on a resource, as RBAC names them; a path of the API server is a resource too. */
export interface Attempt {
  readonly verb: "get" | "list" | "watch" | "create";
  readonly resource: string;
}

/**
 * The failure that a status of the API server means. What it says itself goes into `cause`.
 *
 * The error carries `retryAfterMs` where the API server asked for a pause.
 */
export function kubernetesFailure(
  status: number,
  { verb, resource }: Attempt,
  { retryAfterMs, said = "" }: { retryAfterMs?: number | undefined; said?: string } = {},
): AppError {
  const what = `Cannot ${verb} ${resource}`;
  const cause = new Error(`status ${status}: ${said}`);
  switch (status) {
    case 401:
      return new AppError(
        "kubernetes_refused",
        `${what}: the Kubernetes API server does not accept the credentials (401)`,
        { cause },
      );
    case 403:
      return new AppError(
        "kubernetes_refused",
        `${what}: RBAC does not allow the verb "${verb}" (403); bind the service account to ${roleFor({ verb, resource })}`,
        { cause },
      );
    case 410:
      return new AppError("kubernetes_gone", `${what}: the resource version is too old (410)`, {
        cause,
      });
    default: {
      const asksForLess = status === 429 || status >= 500;
      const error = new AppError(
        asksForLess ? "kubernetes_unavailable" : "kubernetes_refused",
        `${what}: the Kubernetes API server answered ${status}`,
        { cause },
      );
      return retryAfterMs === undefined ? error : Object.assign(error, { retryAfterMs });
    }
  }
}

function roleFor({ verb, resource }: Attempt): string {
  // Every cluster has it, for those who verify service accounts' tokens.
  if (resource.startsWith("/")) return "the ClusterRole system:service-account-issuer-discovery";
  const verbs = verb === "create" ? '["create"]' : '["get", "list", "watch"]';
  return `a ClusterRole with the rule apiGroups: [""], resources: ["${resource}"], verbs: ${verbs}`;
}
