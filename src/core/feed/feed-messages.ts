import type { ErrorCode } from "../errors.ts";
import type { Credentials } from "../session/credentials.ts";
import type { FedPod, SessionId } from "./fed-pod.ts";
import type { TokenKeys } from "./token-keys.ts";

/** A moment of a node's feed. Revisions count upwards and compare within one epoch only. */
export interface Position {
  /** Names the server's process. */
  readonly epoch: string;
  readonly revision: number;
}

/** What became of a session: its credentials, or why STS gave none. */
export type FedSession =
  | { readonly outcome: "issued"; readonly credentials: Credentials }
  | { readonly outcome: "failed"; readonly code: ErrorCode; readonly reason: string };

/** One part of a batch. */
export type FeedChange =
  /** First of a batch that holds everything: whatever is not in it is gone. */
  | { readonly type: "snapshot" }
  | { readonly type: "pod"; readonly pod: FedPod }
  | { readonly type: "pod-gone"; readonly uid: string }
  | { readonly type: "session"; readonly id: SessionId; readonly session: FedSession }
  | { readonly type: "token-keys"; readonly tokenKeys: TokenKeys };

/** The last part of a batch, which is then applied as a whole. */
export interface InSync {
  readonly type: "in-sync";
  readonly position: Position;
  /** What stands before roles that are not written as ARNs. */
  readonly baseArn: string;
}

/** Everything that a server says on a node's feed (`proto/rolecall/v1/node_feed.proto`). */
export type FeedMessage =
  | FeedChange
  | InSync
  /** The server lives. */
  | { readonly type: "heartbeat" }
  /** The server is about to end: its agents go elsewhere. */
  | { readonly type: "drain" };
