import type { Secret } from "../secret.ts";

/** Kubernetes' pod phases; anything else it may say one day counts as `Unknown`. */
export type PodPhase = "Pending" | "Running" | "Succeeded" | "Failed" | "Unknown";

/** What is kept of a Kubernetes pod: what it costs in memory is what is declared here. */
export interface Pod {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly resourceVersion: string;
  /** `spec.nodeName`; empty until the pod is scheduled. */
  readonly node: string;
  /** `status.podIPs` (or `status.podIP`), in their order; empty until the sandbox exists. */
  readonly addresses: readonly string[];
  readonly phase: PodPhase;
  readonly hostNetwork: boolean;
  /** Made from a file on its node, which then knows it by another UID than the API does. */
  readonly isStatic: boolean;
  /** Whether `metadata.deletionTimestamp` is set. A terminating pod still gets its role. */
  readonly deleting: boolean;
  /** `metadata.creationTimestamp`, milliseconds since the Unix epoch. */
  readonly createdAt: number;
  /** `iam.amazonaws.com/role` as written; undefined when absent. */
  readonly role: string | undefined;
  /** `iam.amazonaws.com/session-name` as written; undefined when absent. */
  readonly sessionName: string | undefined;
  /** `iam.amazonaws.com/external-id`; undefined when absent. */
  readonly externalId: Secret | undefined;
}

/** What is kept of a Kubernetes namespace. */
export interface Namespace {
  readonly name: string;
  readonly resourceVersion: string;
  /** `iam.amazonaws.com/permitted` as written; undefined when absent. */
  readonly permitted: string | undefined;
  /** Whether `iam.amazonaws.com/require-imdsv2` asks its pods for session tokens. */
  readonly requireImdsv2: boolean;
}

/** The annotation keys: Kiam's, unchanged, and `requireImdsv2`, which Kiam does not know. */
export const ANNOTATIONS = {
  role: "iam.amazonaws.com/role",
  sessionName: "iam.amazonaws.com/session-name",
  externalId: "iam.amazonaws.com/external-id",
  permitted: "iam.amazonaws.com/permitted",
  requireImdsv2: "iam.amazonaws.com/require-imdsv2",
} as const;

/** Whether the pod has ended and so can own neither an address nor a role. */
export function hasEnded(pod: Pod): boolean {
  return pod.phase === "Succeeded" || pod.phase === "Failed";
}
