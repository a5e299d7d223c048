import { AppError } from "../errors.ts";
import { ANNOTATIONS, type Namespace, type Pod } from "../pod/pod.ts";
import { resolveRole, type Role } from "../role/resolve-role.ts";
import { sessionNameOf } from "../session/session-name.ts";
import { show } from "../text.ts";
import type { Expressions } from "./expression.ts";
import type { Grant, Refusal, RefusalCode } from "./grant.ts";

/** What decisions depend on besides the pod and its namespace. */
export interface GrantRules {
  /** Prefix of roles that are not ARNs. */
  readonly baseArn: string;
  readonly expressions: Expressions;
  /** `--session`: the session-name part of pods that choose none. */
  readonly defaultSessionName: string;
  readonly durationSeconds: number;
}

/** Decides whether a pod may have the role that it is annotated with. */
export function decideGrant(pod: Pod, namespace: Namespace | undefined, rules: GrantRules): Grant {
  return decideRequest(pod, namespace, pod.role ?? "", rules);
}

/**
 * Decides whether a pod may have the role that it asks for. Both must hold, in this order (Kiam's,
 * specification §4.5): the role is the annotated one, in name and ARN; the namespace permits it.
 */
export function decideRequest(
  pod: Pod,
  namespace: Namespace | undefined,
  requested: string,
  rules: GrantRules,
): Grant {
  if (pod.role === undefined || pod.role === "") {
    return refuse(
      "no_role",
      `pod ${pod.namespace}/${pod.name} names no role; annotate it with ${ANNOTATIONS.role}`,
    );
  }
  try {
    const annotated = resolveRole(pod.role, rules.baseArn);
    return (
      refusedRequest(pod, annotated, requested, rules.baseArn) ??
      refusedByNamespace(pod, namespace, annotated, requested, rules) ??
      refusedAnnotation(pod) ?? {
        outcome: "granted",
        session: {
          role: annotated.arn,
          sessionName: sessionNameOf(pod.sessionName || rules.defaultSessionName),
          externalId: pod.externalId,
          durationSeconds: rules.durationSeconds,
        },
      }
    );
  } catch (error) {
    const failure = AppError.from(error);
    if (failure.code !== "invalid_role") throw failure;
    return refuse("invalid_role", `pod ${pod.namespace}/${pod.name}: ${failure.message}`);
  }
}

/** Why the role that is asked for is not the one that the pod is annotated with; undefined when it is. */
export function refusedRequest(
  pod: Pick<Pod, "namespace" | "name" | "role">,
  annotated: Role,
  requested: string,
  baseArn: string,
): Refusal | undefined {
  const role = requested === pod.role ? annotated : asRole(requested, baseArn);
  if (role?.name === annotated.name && role.arn === annotated.arn) return undefined;
  return refuse(
    "role_mismatch",
    `requested '${show(requested)}' but annotated with '${show(annotated.name)}', forbidden; ` +
      `ask for the role that ${ANNOTATIONS.role} of pod ${pod.namespace}/${pod.name} names`,
  );
}

function asRole(requested: string, baseArn: string): Role | undefined {
  try {
    return resolveRole(requested, baseArn);
  } catch {
    // What is no role can't be the annotated one.
    return undefined;
  }
}

function refusedByNamespace(
  pod: Pod,
  namespace: Namespace | undefined,
  { arn }: Role,
  requested: string,
  { expressions }: GrantRules,
): Refusal | undefined {
  const annotation = `the annotation ${ANNOTATIONS.permitted} of namespace ${pod.namespace}`;
  if (namespace === undefined) {
    return refuse(
      "namespace_unknown",
      `namespace ${pod.namespace} has not been seen yet, so role '${show(requested)}' is not permitted; try again`,
    );
  }
  const expression = namespace.permitted ?? "";
  if (expression === "") {
    return refuse(
      "namespace_forbids",
      `namespace policy expression '(empty)' forbids role '${show(requested)}'; set ${annotation} to an expression that matches ${arn}`,
    );
  }
  try {
    if (expressions.permits(expression, arn)) return undefined;
  } catch (error) {
    const failure = AppError.from(error);
    if (failure.code !== "invalid_expression") throw failure;
    return refuse("invalid_expression", `${failure.message}; correct ${annotation}`);
  }
  return refuse(
    "namespace_forbids",
    `namespace policy expression '${show(expression)}' forbids role '${arn}'; change ${annotation} if the pod may have it`,
  );
}

/** STS's own bounds, told before STS has to be asked. */
const EXTERNAL_ID = /^[\w+=,.@:/-]{2,1224}$/;

function refusedAnnotation({ externalId }: Pod): Refusal | undefined {
  if (externalId === undefined || EXTERNAL_ID.test(externalId.reveal())) return undefined;
  return refuse(
    "invalid_external_id",
    `the annotation ${ANNOTATIONS.externalId} must hold 2 to 1224 characters of letters, digits and +=,.@:/-_`,
  );
}

function refuse(code: RefusalCode, reason: string): Refusal {
  return { outcome: "refused", code, reason };
}
