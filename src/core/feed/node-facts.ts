import type { Grants } from "../policy/grants.ts";
import type { Grant, Refusal } from "../policy/grant.ts";
import { normalizeAddress } from "../pod/address.ts";
import { hasEnded, type Pod } from "../pod/pod.ts";
import type { PodIndex } from "../pod/pod-index.ts";
import { type SessionKey, sessionKey } from "../session/session-identity.ts";
import type { Sessions } from "../session/sessions.ts";
import type { FedGrant, FedPod, SessionId } from "./fed-pod.ts";
import type { FedSession } from "./feed-messages.ts";
import type { TokenKeys } from "./token-keys.ts";

/** What is to be said of one pod, and what it comes from. */
export interface PodFact {
  readonly fed: FedPod;
  readonly pod: Pod;
  /** Why it may not have its role; undefined when it may, or names none. */
  readonly refusal: Refusal | undefined;
  /** The session of one that may. */
  readonly session: SessionKey | undefined;
}

/** What is to be said of a session. */
export interface SessionFact {
  readonly id: SessionId;
  readonly session: FedSession;
}

/** What a feed says, looked up at the moment when it is said: nothing of it is kept twice. */
export interface NodeFacts {
  /** @throws {AppError} `not_ready` before the cluster's present state is known. */
  readonly baseArn: string;
  uidsOn(node: string): Iterable<string>;
  /** Undefined for a pod that is gone, or has ended and so owns nothing any more. */
  pod(uid: string): PodFact | undefined;
  /** Undefined while its first call to STS runs, and once no pod needs it. */
  session(key: SessionKey): SessionFact | undefined;
  /** Undefined while they are not known. */
  tokenKeys(): TokenKeys | undefined;
}

export interface NodeFactsOptions {
  readonly pods: PodIndex;
  readonly grants: Grants;
  readonly sessions: Pick<Sessions, "state">;
  readonly tokenKeys: () => TokenKeys | undefined;
}

/** The facts as pods, grants and sessions have them: decided by what decides for Kiam's agents too. */
export function nodeFacts({ pods, grants, sessions, tokenKeys }: NodeFactsOptions): NodeFacts {
  const fedGrant = (grant: Grant | undefined): FedGrant => {
    // An empty annotation names no role either; the pod is told so and its owner is not.
    if (grant === undefined) return { outcome: "none" };
    if (grant.outcome === "refused") return grant;
    const state = sessions.state(sessionKey(grant.session));
    if (state === undefined) throw new Error("a session is granted but not kept");
    return { outcome: "granted", roleArn: grant.session.role, session: state.id };
  };
  return {
    get baseArn() {
      return grants.baseArn;
    },
    *uidsOn(node) {
      for (const { uid } of pods.onNode(node)) yield uid;
    },
    pod(uid) {
      const pod = pods.byUid(uid);
      if (pod === undefined || hasEnded(pod)) return undefined;
      const grant = grants.grantOf(pod);
      const { namespace, name, hostNetwork, isStatic, deleting, role } = pod;
      return {
        fed: {
          uid,
          namespace,
          name,
          addresses: pod.addresses.map(normalizeAddress),
          hostNetwork,
          isStatic,
          deleting,
          requireImdsv2: grants.requiresImdsv2(pod),
          role,
          grant: fedGrant(grant),
        },
        pod,
        refusal: grant?.outcome === "refused" ? grant : undefined,
        session: grant?.outcome === "granted" ? sessionKey(grant.session) : undefined,
      };
    },
    session(key) {
      const state = sessions.state(key);
      if (state === undefined) return undefined;
      const { id, credentials, failure } = state;
      if (credentials !== undefined) return { id, session: { outcome: "issued", credentials } };
      if (failure === undefined) return undefined;
      const { code, message } = failure;
      return { id, session: { outcome: "failed", code, reason: message } };
    },
    tokenKeys,
  };
}
