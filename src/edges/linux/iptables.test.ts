import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FakeClock } from "#test/fake-clock.ts";
import { fakeIptables } from "#test/iptables.ts";
import { cannotMakeNamespaces, Namespace } from "#test/namespace.ts";
import { Interception } from "./interception.ts";
import type { InterceptionRules } from "./interception-rules.ts";
import { iptablesRules } from "./iptables.ts";

const never = new AbortController().signal;

function setUp(hostInterface: string, rules: string[] = []) {
  const target = { hostInterface, hostIp: "10.0.0.1", port: 8181 };
  return { iptables: iptablesRules(target, fakeIptables(rules)), rules };
}

/** As one agent does at its start. */
function ensure(rules: InterceptionRules): Promise<void> {
  return new Interception({ rules, clock: new FakeClock(), observe: () => {} }).ensure(never);
}

describe("iptablesRules", () => {
  const cases = [
    { hostInterface: "docker0", spec: "-i docker0" },
    { hostInterface: "cali+", spec: "-i cali+" },
    { hostInterface: "!eth0", spec: "! -i eth0" },
  ];
  for (const { hostInterface, spec } of cases) {
    test(`are exactly Kiam's rule for ${hostInterface}, once however many agents start`, async () => {
      const { iptables, rules } = setUp(hostInterface);
      await ensure(iptables);
      await ensure(iptables);
      assert.deepEqual(rules, [
        `-p tcp -d 169.254.169.254 --dport 80 -j DNAT --to-destination 10.0.0.1:8181 ${spec} --wait`,
      ]);
    });
  }

  test("are not intact once somebody removed the rule", async () => {
    const { iptables, rules } = setUp("cali+");
    await iptables.apply(never);
    assert.equal(await iptables.areIntact(never), true);
    rules.length = 0;
    assert.equal(await iptables.areIntact(never), false);
  });

  test("are removed with every copy", async () => {
    const { iptables, rules } = setUp("cali+");
    await iptables.apply(never);
    rules.push(rules[0] ?? "");
    await iptables.remove(never);
    assert.deepEqual(rules, []);
  });

  for (const hostInterface of ["", "a b", "-j", "eth0;reboot", "x".repeat(40)]) {
    test(`refuse the interface '${hostInterface.slice(0, 12)}'`, () => {
      assert.throws(() => setUp(hostInterface), { code: "invalid_settings" });
    });
  }

  for (const wrong of [{ hostIp: "fd09::2" }, { hostIp: "node-1" }, { port: 0 }]) {
    test(`refuse ${JSON.stringify(wrong)}`, () => {
      const target = { hostInterface: "cali+", hostIp: "10.0.0.1", port: 8181, ...wrong };
      assert.throws(() => iptablesRules(target), { code: "invalid_settings" });
    });
  }

  const skip = cannotMakeNamespaces("iptables");
  test("are what the kernel lists", { skip, timeout: 10_000 }, async () => {
    await using namespace = await Namespace.open();
    const target = { hostInterface: "cali+", hostIp: "10.0.0.1", port: 8181 };
    const rules = iptablesRules(target, namespace.execute);
    await ensure(rules);
    await ensure(rules);
    assert.equal(
      namespace.run("iptables -t nat -S PREROUTING"),
      "-P PREROUTING ACCEPT\n-A PREROUTING -d 169.254.169.254/32 -i cali+ -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:8181\n",
    );
  });
});
