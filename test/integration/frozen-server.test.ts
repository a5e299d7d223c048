import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { monitorEventLoopDelay } from "node:perf_hooks";
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

describe("an agent whose server stands still (SIGSTOP)", { timeout: 60_000 }, () => {
  test("follows another one within a second", async () => {
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

    using busy = monitorEventLoopDelay({ resolution: 5 });
    busy.enable();
    const frozen = performance.now();
    processes.get(server)?.kill("SIGSTOP");
    const lost = await events.first("feed_lost");
    const next = await events.first("feed_in_sync", 1);
    const ms = performance.now() - frozen;
    assert.match(lost.reason, /silent/);
    assert.notEqual(next.server, server);
    assert.equal(table.position?.epoch, next.server);
    // On a busy machine timers are late; that is not the agent's doing.
    const lateMs = busy.max / 1e6;
    assert.ok(
      ms - lateMs < 1_000,
      `${Math.round(ms)} ms, with timers ${Math.round(lateMs)} ms late`,
    );
  });
});
