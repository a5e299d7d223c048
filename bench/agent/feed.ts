import { join } from "node:path";
import { AppError } from "#core/errors.ts";
import { serveKiam } from "#edges/rpc/kiam-server.ts";
import { watchTlsFiles } from "#edges/rpc/tls-files.ts";
import { systemClock } from "#runtime/system-clock.ts";
import { createAuthority, writeTlsFolder, type TlsFolder } from "#test/certificates.ts";
import { paced } from "./paced.ts";
import { benchCredentials, NODE_PODS } from "./pods.ts";

/** A server that says what the node's pods may have. Disposing ends it. */
export interface Feed extends AsyncDisposable {
  readonly port: number;
  /** What its peers prove themselves with. */
  readonly tls: TlsFolder;
  /** Makes `count` changes at that pace, and resolves after the last one. */
  change(count: number, perSecond: number): Promise<void>;
}

/** Serves the node's pods from this process, over mutual TLS. */
export async function startFeed(folder: string): Promise<Feed> {
  await using resources = new AsyncDisposableStack();
  const stop = new AbortController();
  resources.defer(() => stop.abort());
  const authority = await createAuthority();
  const pair = await authority.issue({ names: ["localhost"], addresses: ["127.0.0.1"] });
  const files = await writeTlsFolder(join(folder, "tls"), { ...pair, ca: [authority.cert] });
  const tls = await watchTlsFiles({
    ...files,
    clock: systemClock,
    signal: stop.signal,
    observe: () => undefined,
  });
  let serial = 0;
  const byAddress = new Map(NODE_PODS.map((pod) => [pod.address, pod]));
  const server = resources.use(
    await serveKiam({
      bind: "127.0.0.1:0",
      tls,
      handlers: {
        role: async (address) => {
          const pod = byAddress.get(address);
          if (pod === undefined) throw new AppError("pod_not_found", "no pod is there");
          return pod.role;
        },
        credentials: async () => benchCredentials(serial),
        health: async () => "ok",
      },
      keepalive: {
        timeMs: 10_000,
        timeoutMs: 2_000,
        idleMs: 900_000,
        ageMs: 900_000,
        ageGraceMs: 900_000,
      },
      clock: systemClock,
      random: Math.random,
      signal: stop.signal,
      observe: () => undefined,
      drainMs: 1_000,
    }),
  );
  const opened = resources.move();
  return {
    port: server.port,
    tls: files,
    change: (count, perSecond) =>
      paced(count, perSecond, () => {
        serial += 1;
      }),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
