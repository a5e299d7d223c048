import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ROLECALL } from "#apps/demo/processes.ts";
import { cannotMakeNamespaces, type Inside, Namespace } from "#test/namespace.ts";

const PORT = 8_181;
const skip = cannotMakeNamespaces("sysctl");

const program = (name: string): string[] => [
  process.execPath,
  new URL(`../support/${name}.ts`, import.meta.url).pathname,
];

describe("one agent after another, at 500 requests a second", { skip, timeout: 240_000 }, () => {
  let folder: string;
  let node: Namespace;
  let flags: readonly string[];
  let load: Inside;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "rolecall-hand-over-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));
  beforeEach(async () => {
    node = await Namespace.open();
    // Connections that one socket has not taken when it closes go to the other (docs/how-to/install.md).
    node.run("sysctl -qw net.ipv4.tcp_migrate_req=1");
    const server = node.start(program("healthy-server"));
    while (server.lines.length === 0) await sleep(20);
    flags = JSON.parse(server.lines[0] ?? "") as string[];
  });
  afterEach(() => node[Symbol.asyncDispose]());

  /** Starts an agent, and waits until its ready file says that it is. */
  async function startReady(name: string): Promise<Inside> {
    const file = join(folder, name);
    const own = ["--host=127.0.0.1", `--port=${PORT}`, `--ready-file=${file}`];
    const agent = node.start([...ROLECALL, "agent", ...flags, ...own]);
    const says = (): Promise<string> => readFile(file, "utf8").catch(() => "");
    for (const start = performance.now(); (await says()) !== "ready\n"; await sleep(20)) {
      assert.ok(performance.now() - start < 60_000, agent.lines.join("\n"));
    }
    return agent;
  }

  async function stop({ child, ended, lines }: Inside): Promise<void> {
    child.kill("SIGTERM");
    assert.equal(await ended, 0, lines.join("\n"));
  }

  async function startLoad(): Promise<void> {
    load = node.start([...program("steady-load"), String(PORT)]);
    await sleep(1_000);
  }

  /** What clients were answered: when and what. */
  async function endLoad(): Promise<readonly (readonly [number, string])[]> {
    await sleep(1_000);
    load.child.kill("SIGTERM");
    await load.ended;
    return JSON.parse(load.lines.at(-1) ?? "") as [number, string][];
  }

  test("loses no request when the next is ready before the first is told to stop", async (t) => {
    const first = await startReady("first");
    await startLoad();
    await startReady("second");
    await sleep(500);

    await stop(first);

    const outcomes = await endLoad();
    const failed = outcomes.filter(([, outcome]) => outcome !== "pong");
    t.diagnostic(`${failed.length} of ${outcomes.length} requests failed`);
    assert.deepEqual(failed, []);
    assert.ok(outcomes.length > 1_000);
  });

  test("without an overlap refuses until the next one listens, and says so at once", async (t) => {
    const first = await startReady("before");
    await startLoad();

    await stop(first);
    await startReady("after");

    const outcomes = await endLoad();
    const failed = outcomes.filter(([, outcome]) => outcome !== "pong");
    const span = (failed.at(-1)?.[0] ?? 0) - (failed[0]?.[0] ?? 0);
    t.diagnostic(
      `${failed.length} of ${outcomes.length} requests refused within ${Math.round(span)} ms`,
    );
    // Connections that were open may be cut; no client waits for the end of its patience.
    const other = failed.filter(
      ([, outcome]) => !/^(?:ECONNREFUSED|ECONNRESET|EPIPE)$/.test(outcome),
    );
    assert.deepEqual(other, []);
    assert.equal(outcomes.at(-1)?.[1], "pong");
  });
});
