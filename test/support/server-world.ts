import { AppError } from "#core/errors.ts";
import type { Namespace, Pod } from "#core/pod/pod.ts";
import { Expressions } from "#core/policy/expression.ts";
import { BATCH_EVERY_MS } from "#core/feed/node-feed.ts";
import { FakeClock } from "./fake-clock.ts";
import { BASE_ARN, fedCredentials } from "./fed-pod.ts";
import { knownPod } from "./known-pod.ts";
import { FeedBatch } from "#core/feed/feed-batch.ts";
import type { FeedMessage, Position } from "#core/feed/feed-messages.ts";
import type { NodeFeedEvent } from "#core/feed/node-feed.ts";
import { wayOfData } from "#apps/server/way-of-data.ts";
import { PodTable } from "#core/feed/pod-table.ts";
import type { TokenKeys } from "#core/feed/token-keys.ts";

export const HOUR = 3_600_000;

/** What a server wires, an STS that answers when told, and agents. */
export function serverWorld({ isReady = true } = {}) {
  const clock = new FakeClock();
  const stop = new AbortController();
  const events: NodeFeedEvent[] = [];
  const sts = { issued: 0, error: undefined as AppError | undefined, gate: Promise.resolve() };
  const world = { tokenKeys: undefined as TokenKeys | undefined };
  const { grants, sessions, feeds } = wayOfData({
    clock,
    random: () => 0.5,
    signal: stop.signal,
    sessions: {
      issue: async () => {
        await sts.gate;
        if (sts.error !== undefined) throw sts.error;
        sts.issued += 1;
        return fedCredentials(`ASIA${sts.issued}`, clock.now() + HOUR);
      },
      observe: () => {},
      concurrencyMax: 8,
      queueMax: 100,
    },
    tokenKeys: () => world.tokenKeys,
    epoch: "epoch-1",
    observeFeed: (event) => events.push(event),
  });
  const compile = (source: string) => (text: string) => new RegExp(source, "u").test(text);
  grants.use({
    baseArn: BASE_ARN,
    expressions: new Expressions(compile, { strict: true }),
    defaultSessionName: "kiam",
    durationSeconds: 3_600,
  });
  let version = 0;
  const next = (): string => String((version += 1));
  const putNamespace = (fields: Partial<Namespace> = {}): void =>
    grants.applyNamespaces({
      type: "put",
      item: {
        name: "shop",
        permitted: ".*",
        requireImdsv2: false,
        ...fields,
        resourceVersion: next(),
      },
    });
  const put = (fields: Partial<Pod> = {}): void =>
    grants.applyPods({
      type: "put",
      item: knownPod({ role: "reader", ...fields, resourceVersion: next() }),
    });
  const remove = (uid: string): void =>
    grants.applyPods({ type: "removed", item: knownPod({ uid }) });
  if (isReady) {
    grants.applyNamespaces({ type: "replaced", items: [] });
    putNamespace();
    grants.applyPods({ type: "replaced", items: [] });
  }
  sessions.run(stop.signal).catch(() => {});
  feeds.run(stop.signal).catch(() => {});

  /** An agent that reads whatever comes, into a table of its own. */
  const agent = ({
    node = "node-a",
    table = new PodTable(),
    held = undefined as Position | undefined,
  } = {}) => {
    const leave = new AbortController();
    const messages: FeedMessage[] = [];
    const stream = feeds.follow(node, held, leave.signal);
    let batch = new FeedBatch();
    const read = async (): Promise<void> => {
      for await (const message of stream) {
        messages.push(message);
        if (message.type === "heartbeat" || message.type === "drain") continue;
        if (message.type !== "in-sync") batch.add(message);
        else {
          table.commit(batch, message);
          batch = new FeedBatch();
        }
      }
    };
    const reading = read();
    const keyOf = (uid: string): string | undefined => {
      const grant = table.byUid(uid)?.grant;
      return grant?.outcome === "granted"
        ? table.session(grant.session)?.credentials?.accessKeyId
        : undefined;
    };
    const types = (): string[] => messages.splice(0).map(({ type }) => type);
    return { table, messages, reading, keyOf, types, leave: () => leave.abort() };
  };
  /** Lets agents hear of what has changed. */
  const settle = (): Promise<void> => clock.advance(BATCH_EVERY_MS);
  return {
    clock,
    settle,
    stop,
    events,
    sts,
    world,
    grants,
    feeds,
    put,
    putNamespace,
    remove,
    agent,
  };
}
