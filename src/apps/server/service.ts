import { AppError } from "#core/errors.ts";
import type { AddressDispute } from "#core/feed/address-dispute.ts";
import type { Grants } from "#core/policy/grants.ts";
import type { Refusal } from "#core/policy/grant.ts";
import type { Pod } from "#core/pod/pod.ts";
import type { Credentials } from "#core/session/credentials.ts";
import { type SessionIdentity, sessionKey } from "#core/session/session-identity.ts";
import type { Sessions } from "#core/session/sessions.ts";

/** What happened to a pod's request, for the log, the metrics and the pod's events. */
export type ServiceEvent =
  | { readonly type: "role_found"; readonly pod: Pod }
  | {
      readonly type: "refused";
      readonly pod: Pod;
      readonly requested: string;
      readonly refusal: Refusal;
    }
  | { readonly type: "session_failed"; readonly pod: Pod; readonly error: AppError }
  | { readonly type: "address_disputed"; readonly pod: Pod; readonly dispute: AddressDispute };

export interface ServiceOptions {
  readonly grants: Grants;
  readonly sessions: Pick<Sessions, "get">;
  readonly observe: (event: ServiceEvent) => void;
}

/** The answers behind `kiam.KiamService`: grant first, session second. */
export function kiamHandlers({ grants, sessions, observe }: ServiceOptions) {
  const granted = (
    address: string,
    role: string,
    podUid: string | undefined,
  ): { readonly pod: Pod; readonly session: SessionIdentity } => {
    const { pod, grant } = grants.request(address, role, podUid);
    if (grant.outcome === "granted") return { pod, session: grant.session };
    observe({ type: "refused", pod, requested: role, refusal: grant });
    throw new AppError(grant.code, grant.reason);
  };

  const credentialsOf = async (
    pod: Pod,
    session: SessionIdentity,
    signal: AbortSignal,
  ): Promise<Credentials> => {
    try {
      return await sessions.get(session, signal);
    } catch (error) {
      signal.throwIfAborted();
      const failure = AppError.from(error);
      observe({ type: "session_failed", pod, error: failure });
      throw failure;
    }
  };

  return {
    /** The role as annotated; empty when the pod names none (Kiam's own answer). */
    async role(address: string, _signal: AbortSignal, podUid?: string): Promise<string> {
      const pod = grants.podAt(address, podUid);
      observe({ type: "role_found", pod });
      return pod.role ?? "";
    },

    async credentials(
      address: string,
      role: string,
      signal: AbortSignal,
      podUid?: string,
    ): Promise<Credentials> {
      const { pod, session } = granted(address, role, podUid);
      const credentials = await credentialsOf(pod, session, signal);
      // STS may have taken seconds: whatever changed meanwhile decides (design invariant 1).
      const now = granted(address, role, podUid);
      if (sessionKey(now.session) !== sessionKey(session)) {
        throw new AppError("not_ready", "The pod changed while STS was asked; try again");
      }
      return credentials;
    },

    async health(): Promise<string> {
      const missing = grants.missing();
      if (missing.length > 0) throw new AppError("not_ready", missing.join("; "));
      return "ok";
    },
  };
}
