import { AppError } from "../errors.ts";
import type { FedPod, SessionId } from "./fed-pod.ts";
import type { FedSession, FeedChange } from "./feed-messages.ts";
import type { TokenKeys } from "./token-keys.ts";

/** More changes than any node has pods; beyond it is no batch of a server that is in order. */
const CHANGES_MAX = 16_384;

/** What one stream has said since its last `in-sync`. It counts once it is whole. */
export class FeedBatch {
  /** Whether whatever is not in it is gone. */
  isSnapshot = false;
  /** By UID; undefined for a pod that is gone. */
  readonly pods = new Map<string, FedPod | undefined>();
  readonly sessions = new Map<SessionId, FedSession>();
  tokenKeys: TokenKeys | undefined;

  /** @throws {AppError} `overloaded` when there is no end of it. */
  add(change: FeedChange): void {
    if (this.pods.size + this.sessions.size >= CHANGES_MAX) {
      throw new AppError("overloaded", `the server sent a batch of more than ${CHANGES_MAX} parts`);
    }
    switch (change.type) {
      case "snapshot":
        this.isSnapshot = true;
        break;
      case "pod":
        this.pods.set(change.pod.uid, change.pod);
        break;
      case "pod-gone":
        this.pods.set(change.uid, undefined);
        break;
      case "session":
        this.sessions.set(change.id, change.session);
        break;
      case "token-keys":
        this.tokenKeys = change.tokenKeys;
        break;
    }
  }
}
