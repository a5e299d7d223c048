import type { RoleArn } from "../role/role-arn.ts";
import type { Secret } from "../secret.ts";

declare const brand: unique symbol;

/** Names one session: equal for equal identities and different for different ones. */
export type SessionKey = string & { readonly [brand]: "SessionKey" };

/** Everything that STS is told about one session (design §3). */
export interface SessionIdentity {
  readonly role: RoleArn;
  /** The final RoleSessionName: at most 64 characters of `[\w+=,.@-]`. */
  readonly sessionName: string;
  readonly externalId: Secret | undefined;
  readonly durationSeconds: number;
}

/**
 * The identity's key. It contains the external ID, so it stays inside the process: it is a key of
 * maps and never a log field.
 */
export function sessionKey(identity: SessionIdentity): SessionKey {
  return JSON.stringify([
    identity.role,
    identity.sessionName,
    identity.externalId?.reveal() ?? null,
    identity.durationSeconds,
  ]) as SessionKey;
}
