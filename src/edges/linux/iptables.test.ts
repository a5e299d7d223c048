import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { FakeClock } from "#test/fake-clock.ts";
import { fakeIptables } from "#test/iptables.ts";
import { type InterceptionEvent, interception } from "./iptables.ts";

const never = new AbortController().signal;

function setUp(hostInterface: string, rules: string[] = []) {
  const clock = new FakeClock();
  const events: InterceptionEvent[] = [];
  const rule = interception({
    hostInterface,
    hostIp: "10.0.0.1",
    port: 8181,
    clock,
    observe: (event) => events.push(event),
    exec: fakeIptables(rules),
  });
  return { rule, rules, clock, events };
}

describe("interception", () => {
  const cases = [
    { hostInterface: "docker0", spec: "-i docker0" },
    { hostInterface: "cali+", spec: "-i cali+" },
    { hostInterface: "!eth0", spec: "! -i eth0" },
  ];
  for (const { hostInterface, spec } of cases) {
    test(`is exactly Kiam's rule for ${hostInterface}, once however often it is ensured`, async () => {
      const { rule, rules } = setUp(hostInterface);
      await rule.ensure(never);
      await rule.ensure(never);
      assert.deepEqual(rules, [
        `-p tcp -d 169.254.169.254 --dport 80 -j DNAT --to-destination 10.0.0.1:8181 ${spec} --wait`,
      ]);
    });
  }

  test("restores a rule that somebody removed, and says so", async () => {
    const { rule, rules, clock, events } = setUp("cali+");
    await rule.ensure(never);
    const stop = new AbortController();
    const ended = rule.reconcile(stop.signal).catch(() => {});

    rules.length = 0;
    await clock.advance(5_000);
    stop.abort(new Error("over"));
    await ended;

    assert.equal(rules.length, 1);
    assert.deepEqual(
      events.map(({ type }) => type),
      ["added", "restored"],
    );
  });

  test("removes every copy when it is asked to", async () => {
    const { rule, rules } = setUp("cali+");
    await rule.ensure(never);
    rules.push(rules[0] ?? "");
    await rule.remove(never);
    assert.deepEqual(rules, []);
  });

  for (const hostInterface of ["", "a b", "-j", "eth0;reboot", "x".repeat(40)]) {
    test(`refuses the interface '${hostInterface.slice(0, 12)}'`, () => {
      assert.throws(() => setUp(hostInterface), { code: "invalid_settings" });
    });
  }

  const missing = cannotUseNamespaces();
  test(
    "is what the kernel lists, in a network namespace of the test's own",
    { skip: missing, timeout: 10_000 },
    () => {
      const module = new URL("./iptables.ts", import.meta.url).href;
      const ensure = `const { interception } = await import("${module}");
        const rule = interception({ hostInterface: "cali+", hostIp: "10.0.0.1", port: 8181,
          clock: { now: Date.now, sleep: () => Promise.reject() }, observe: () => {} });
        await rule.ensure(new AbortController().signal);
        await rule.ensure(new AbortController().signal);`;
      const { stdout, status } = spawnSync(
        "unshare",
        [
          "-n",
          "sh",
          "-c",
          '"$0" -e "$1" && iptables -t nat -S PREROUTING',
          process.execPath,
          ensure,
        ],
        { encoding: "utf8" },
      );
      assert.equal(status, 0);
      assert.match(
        stdout,
        /^-P PREROUTING ACCEPT\n-A PREROUTING -d 169\.254\.169\.254\/32 -i cali\+ -p tcp -m tcp --dport 80 -j DNAT --to-destination 10\.0\.0\.1:8181\n$/,
      );
    },
  );
});

/** Why the kernel can't be asked here; false when it can. */
function cannotUseNamespaces(): string | false {
  const { status } = spawnSync("unshare", ["-n", "iptables", "-t", "nat", "-S"]);
  return status === 0 ? false : "needs root, unshare and iptables";
}
