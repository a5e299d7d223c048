import type { ErrorCode } from "../errors.ts";
import type { RoleArn } from "../role/role-arn.ts";

/** Which session's credentials are meant; counts within one server process. */
export type SessionId = number;

/** May the pod have the role that it names, and if so, which session is it: as the server decided. */
export type FedGrant =
  | { readonly outcome: "none" }
  | { readonly outcome: "granted"; readonly roleArn: RoleArn; readonly session: SessionId }
  | { readonly outcome: "refused"; readonly code: ErrorCode; readonly reason: string };

/** A pod as its node's agent knows it. */
export interface FedPod {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** In the one spelling of `normalizeAddress`; empty until Kubernetes knows them. */
  readonly addresses: readonly string[];
  readonly hostNetwork: boolean;
  /** Made from a file on its node, which then knows it by another UID than the API does. */
  readonly isStatic: boolean;
  /** Terminating; it keeps its role until it is gone. */
  readonly deleting: boolean;
  /** Whether requests without a session token (IMDSv1) are refused. */
  readonly requireImdsv2: boolean;
  /** As annotated; undefined when the pod names none. */
  readonly role: string | undefined;
  readonly grant: FedGrant;
}
