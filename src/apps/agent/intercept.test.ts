import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { LogEventName } from "#runtime/log-events.ts";
import { FakeClock } from "#test/fake-clock.ts";
import { fakeIptables } from "#test/iptables.ts";
import { intercept } from "./intercept.ts";

interface Asked {
  readonly iptables: boolean;
  readonly iptablesRemove: boolean;
  readonly interception?: "iptables" | "nft" | "none";
}

/** Runs an agent's interception from start to exit, and says what is left in the kernel. */
async function runOnce({ interception, ...asked }: Asked) {
  const rules: string[] = [];
  const said: LogEventName[] = [];
  const resources = new AsyncDisposableStack();
  const asSet = { ...asked, interception, interceptionSelfTest: false };
  const settings = { ...asSet, host: "10.0.0.1", hostInterface: "cali+", port: 8181 };
  const { tasks } = await intercept(
    {
      settings: { ...settings, interceptContainerEndpoint: true },
      log: { say: (event) => void said.push(event) },
      clock: new FakeClock(),
      random: () => 0,
      observe: () => {},
      exec: fakeIptables(rules),
    },
    { signal: new AbortController().signal, resources },
  );
  const whileRunning = rules.length;
  await resources.disposeAsync();
  return { tasks, said, whileRunning, atExit: rules.length };
}

describe("intercept", () => {
  test("leaves the rules in place at exit, and says so", async () => {
    const { said, whileRunning, atExit } = await runOnce({ iptables: true, iptablesRemove: false });

    assert.deepEqual([whileRunning, atExit], [1, 1]);
    assert.deepEqual(said, ["interception_kept"]);
  });

  test("removes the rules at exit only when that was asked for", async () => {
    const { said, whileRunning, atExit } = await runOnce({ iptables: true, iptablesRemove: true });

    assert.deepEqual([whileRunning, atExit], [1, 0]);
    assert.deepEqual(said, []);
  });

  test("touches nothing unless it was asked to intercept", async () => {
    const { tasks, whileRunning } = await runOnce({ iptables: false, iptablesRemove: true });

    assert.deepEqual([tasks, whileRunning], [[], 0]);
  });

  test("believes --interception before --iptables", async () => {
    const none = { iptables: true, iptablesRemove: false, interception: "none" } as const;
    assert.equal((await runOnce(none)).whileRunning, 0);
    const iptables = { iptables: false, iptablesRemove: false, interception: "iptables" } as const;
    assert.equal((await runOnce(iptables)).whileRunning, 1);
  });
});
