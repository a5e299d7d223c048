import type { FeedMessage } from "#core/feed/feed-messages.ts";
import { serveKiam } from "#edges/rpc/kiam-server.ts";
import { watchTlsFiles } from "#edges/rpc/tls-files.ts";
import { systemClock } from "#runtime/system-clock.ts";
import { BASE_ARN } from "./fed-pod.ts";
import { SERVER_KEEPALIVE } from "./rpc.ts";

/**
 * A server of its own process, which a test can stop and freeze: it says that its node has no pods, and
 * that it lives. Arguments: host, port, certificate, key, CA. Sends its port once it listens, and from then on
 * each 5 ms that it has a processor.
 */
const [host = "", port = "0", cert = "", key = "", ca = ""] = process.argv.slice(2);
const stop = new AbortController();
const { signal } = stop;
const observe = (): void => {};

async function* follow(
  _node: string,
  _held: unknown,
  leave: AbortSignal,
): AsyncGenerator<FeedMessage> {
  const position = { epoch: host, revision: 1 };
  yield { type: "snapshot" };
  yield { type: "in-sync", position, baseArn: BASE_ARN };
  while (!leave.aborted) {
    await systemClock.sleep(100, leave);
    yield { type: "heartbeat" };
  }
}

const server = await serveKiam({
  bind: `${host}:${port}`,
  tls: await watchTlsFiles({ cert, key, ca, clock: systemClock, signal, observe }),
  handlers: {
    role: async () => "",
    credentials: () => Promise.reject(new Error("not expected")),
    health: async () => "ok",
  },
  follow,
  keepalive: SERVER_KEEPALIVE,
  clock: systemClock,
  random: () => 0.5,
  signal,
  observe,
});
process.send?.(server.port);
setInterval(() => process.send?.("works"), 5);
process.once("disconnect", () => process.exit());
