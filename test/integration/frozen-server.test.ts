import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { describe, test } from "node:test";
import { PodTable } from "#core/feed/pod-table.ts";
import { ranked } from "#core/feed/rendezvous.ts";
import { FeedFollower } from "#edges/rpc/feed-follower.ts";
import type { FollowerEvent } from "#edges/rpc/rpc-event.ts";
import { systemClock } from "#runtime/system-clock.ts";
import { Events, rpcWorld, SERVER_NAME } from "#test/rpc.ts";

const NODE = "node-a";
const PROCESS = new URL("../support/feed-server-process.ts", import.meta.url);

type World = Awaited<ReturnType<typeof rpcWorld>>;

/** Starts a server process on the address; the result is killed with the world. */
async function startServer(
  world: World,
  host: string,
  port: number,
): Promise<{ readonly process: ChildProcess; readonly port: number }> {
  const { paths } = await world.filesFor({ names: [SERVER_NAME], addresses: [host] });
  const { cert, key, ca } = paths;
  const child = fork(PROCESS, [host, String(port), cert, key, ca], { execArgv: [] });
  world.resources.defer(() => void child.kill("SIGKILL"));
  const [bound] = (await once(child, "message")) as [number];
  return { process: child, port: bound };
}

const TICK_MS = 10;

/**
 * Counts the milliseconds in which this process and a server's both worked: where other processes have the processors
 * instead, neither can be in time, and how late both are adds up.
 */
function timeAtWork(server: ChildProcess): Disposable & { readonly ms: number } {
  const worked = { ms: 0, hasServer: false };
  server.on("message", () => (worked.hasServer = true));
  const ticking = setInterval(() => {
    if (worked.hasServer) worked.ms += TICK_MS;
    worked.hasServer = false;
  }, TICK_MS);
  return {
    get ms() {
      return worked.ms;
    },
    [Symbol.dispose]: () => clearInterval(ticking),
  };
}

describe("an agent whose server stands still (SIGSTOP)", { timeout: 60_000 }, () => {
  test("follows another one within a second", async (t) => {
    await using world = await rpcWorld();
    const first = await startServer(world, "127.0.0.1", 0);
    const second = await startServer(world, "127.0.0.2", first.port);
    const processes = new Map([
      ["127.0.0.1", first.process],
      ["127.0.0.2", second.process],
    ]);
    const servers = world.dialServers(first.port, () => ranked(NODE, [...processes.keys()]));
    await servers.events.first("server_reachable", 1);
    const events = new Events<FollowerEvent>();
    const table = new PodTable();
    const follower = new FeedFollower({
      node: NODE,
      version: "test",
      lines: servers.lines,
      table,
      clock: systemClock,
      random: () => 0.5,
      observe: events.observe,
    });
    follower.run(world.signal).catch(() => {});
    const { server } = await events.first("feed_in_sync");

    const other = server === "127.0.0.1" ? second.process : first.process;
    using atWork = timeAtWork(other);
    const frozen = performance.now();
    processes.get(server)?.kill("SIGSTOP");
    const lost = await events.first("feed_lost");
    const next = await events.first("feed_in_sync", 1);
    const { ms } = atWork;
    t.diagnostic(`${ms} ms at work, ${Math.round(performance.now() - frozen)} ms in all`);
    assert.match(lost.reason, /silent/);
    assert.notEqual(next.server, server);
    assert.equal(table.position?.epoch, next.server);
    assert.ok(ms < 1_000, `${ms} ms`);
  });
});
