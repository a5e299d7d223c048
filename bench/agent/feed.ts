import { join } from "node:path";
import { kiamHandlers } from "#apps/server/service.ts";
import { wayOfData } from "#apps/server/way-of-data.ts";
import { Expressions } from "#core/policy/expression.ts";
import { serveKiam } from "#edges/rpc/kiam-server.ts";
import { watchTlsFiles } from "#edges/rpc/tls-files.ts";
import { compileRe2 } from "#runtime/re2-engine.ts";
import { systemClock } from "#runtime/system-clock.ts";
import { createAuthority, writeTlsFolder, type TlsFolder } from "#test/certificates.ts";
import { BASE_ARN } from "#test/fed-pod.ts";
import { SERVER_KEEPALIVE } from "#test/rpc.ts";
import { TOKEN_KEYS } from "./container.ts";
import { paced } from "./paced.ts";
import { benchCredentials, NODE_PODS } from "./pods.ts";
import { asKnown, podChanges, unplaced } from "./pod-changes.ts";

/** A server that says what the node's pods may have. Disposing ends it. */
export interface Feed extends AsyncDisposable {
  readonly port: number;
  /** What its peers prove themselves with. */
  readonly tls: TlsFolder;
  /** Makes `count` changes at that pace, and resolves after the last one. */
  change(count: number, perSecond: number): Promise<void>;
}

/** Serves the node's pods from this process as a server does, with a stand-in for STS. */
export async function startFeed(folder: string): Promise<Feed> {
  await using resources = new AsyncDisposableStack();
  const stop = new AbortController();
  const { signal } = stop;
  resources.defer(() => stop.abort());
  const { grants, sessions, feeds } = wayOfDataOfTheNode(signal);
  const authority = await createAuthority();
  const pair = await authority.issue({ names: ["localhost"], addresses: ["127.0.0.1"] });
  const files = await writeTlsFolder(join(folder, "tls"), { ...pair, ca: [authority.cert] });
  const observe = (): void => undefined;
  const server = resources.use(
    await serveKiam({
      bind: "127.0.0.1:0",
      tls: await watchTlsFiles({ ...files, clock: systemClock, signal, observe }),
      handlers: kiamHandlers({ grants, sessions, observe }),
      follow: (node, held, leave) => feeds.follow(node, held, leave),
      keepalive: SERVER_KEEPALIVE,
      clock: systemClock,
      random: Math.random,
      signal,
      observe,
      drainMs: 1_000,
    }),
  );
  const change = podChanges((one) => grants.applyPods(one));
  const opened = resources.move();
  return {
    port: server.port,
    tls: files,
    change: (count, perSecond) => paced(count, perSecond, change),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function wayOfDataOfTheNode(signal: AbortSignal) {
  let issued = 0;
  const way = wayOfData({
    clock: systemClock,
    random: Math.random,
    signal,
    sessions: {
      issue: async () => benchCredentials((issued += 1)),
      observe: () => undefined,
      concurrencyMax: 8,
      queueMax: 1_000,
    },
    tokenKeys: () => TOKEN_KEYS,
    epoch: "bench",
    observeFeed: () => undefined,
  });
  const { grants, sessions, feeds } = way;
  grants.use({
    baseArn: BASE_ARN,
    expressions: new Expressions(compileRe2, { strict: true }),
    defaultSessionName: "kiam",
    durationSeconds: 3_600,
  });
  const namespace = { name: "shop", permitted: ".*", requireImdsv2: false, resourceVersion: "1" };
  grants.applyNamespaces({ type: "replaced", items: [namespace] });
  grants.applyPods({
    type: "replaced",
    items: [...NODE_PODS.map((pod) => asKnown(pod, "1")), unplaced()],
  });
  // Both end by the signal.
  for (const part of [sessions, feeds]) part.run(signal).catch(() => undefined);
  return way;
}
