import type { Clock, Random } from "#core/clock.ts";
import { nodeFacts } from "#core/feed/node-facts.ts";
import type { NodeFeedEvent } from "#core/feed/node-feed.ts";
import { NodeFeeds } from "#core/feed/node-feeds.ts";
import type { TokenKeys } from "#core/feed/token-keys.ts";
import { NamespaceIndex } from "#core/pod/namespace-index.ts";
import { PodIndex } from "#core/pod/pod-index.ts";
import { Grants } from "#core/policy/grants.ts";
import { Sessions, type SessionsOptions } from "#core/session/sessions.ts";

export interface WayOfDataOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  readonly sessions: Pick<
    SessionsOptions,
    "issue" | "observe" | "concurrencyMax" | "queueMax" | "renewBeforeMs"
  >;
  /** How pods' tokens are verified; `feeds.tokenKeysChanged` is to be called when that changes. */
  readonly tokenKeys: () => TokenKeys | undefined;
  /** Names this process. */
  readonly epoch: string;
  readonly observeFeed: (event: NodeFeedEvent) => void;
}

/** Pods and namespaces → grants → sessions → node feeds, each told by the one before. */
export function wayOfData(options: WayOfDataOptions) {
  const { tokenKeys, observeFeed } = options;
  const sessions = new Sessions({
    ...options,
    ...options.sessions,
    changed: (key, owners) => feeds.sessionChanged(key, owners),
  });
  const pods = new PodIndex();
  const grants = new Grants(pods, new NamespaceIndex(), {
    decided: (pod, grant) => {
      sessions.want(pod.uid, grant?.outcome === "granted" ? grant.session : undefined);
      feeds.podChanged(pod);
    },
    gone: (pod) => {
      sessions.want(pod.uid, undefined);
      feeds.podChanged(pod);
    },
  });
  const feeds = new NodeFeeds({
    ...options,
    facts: nodeFacts({ pods, grants, sessions, tokenKeys }),
    missing: () => grants.missing(),
    pods,
    observe: observeFeed,
  });
  return { pods, grants, sessions, feeds };
}
