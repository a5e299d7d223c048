import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { LogEventName } from "#runtime/log-events.ts";
import { FakeClock } from "#test/fake-clock.ts";
import { fakeIptables } from "#test/iptables.ts";
import { intercept } from "./intercept.ts";

/** Runs an agent's interception from start to exit, and says what is left in the kernel. */
async function runOnce(settings: { iptables: boolean; iptablesRemove: boolean }) {
  const rules: string[] = [];
  const said: LogEventName[] = [];
  const resources = new AsyncDisposableStack();
  const rule = await intercept(
    {
      settings: { ...settings, host: "10.0.0.1", hostInterface: "cali+", port: 8181 },
      log: { say: (event) => void said.push(event) },
      clock: new FakeClock(),
      observe: () => {},
      exec: fakeIptables(rules),
    },
    { signal: new AbortController().signal, resources },
  );
  const whileRunning = rules.length;
  await resources.disposeAsync();
  return { rule, said, whileRunning, atExit: rules.length };
}

describe("intercept", () => {
  test("leaves the rule in place at exit, and says so", async () => {
    const { said, whileRunning, atExit } = await runOnce({ iptables: true, iptablesRemove: false });

    assert.deepEqual([whileRunning, atExit], [1, 1]);
    assert.deepEqual(said, ["iptables_kept"]);
  });

  test("removes the rule at exit only when that was asked for", async () => {
    const { said, whileRunning, atExit } = await runOnce({ iptables: true, iptablesRemove: true });

    assert.deepEqual([whileRunning, atExit], [1, 0]);
    assert.deepEqual(said, []);
  });

  test("touches nothing unless it was asked to intercept", async () => {
    const { rule, whileRunning } = await runOnce({ iptables: false, iptablesRemove: true });

    assert.equal(rule, undefined);
    assert.equal(whileRunning, 0);
  });
});
