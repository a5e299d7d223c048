import type { ErrorCode } from "../errors.ts";
import type { SessionIdentity } from "../session/session-identity.ts";

/** The codes with which a pod can be refused before STS is asked. */
export type RefusalCode = Extract<
  ErrorCode,
  | "no_role"
  | "invalid_role"
  | "invalid_external_id"
  | "role_mismatch"
  | "namespace_unknown"
  | "namespace_forbids"
  | "invalid_expression"
>;

/** The decision for one pod: may it have the role that it names, and if not, why. */
export type Grant = { readonly outcome: "granted"; readonly session: SessionIdentity } | Refusal;

/** Why a pod may not have a role; Kiam's words for the code are in `edges/rpc/status.ts`. */
export interface Refusal {
  readonly outcome: "refused";
  readonly code: RefusalCode;
  /** One sentence naming the annotation, the value, the namespace's expression and the next step. */
  readonly reason: string;
}
