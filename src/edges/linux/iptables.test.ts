import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { fakeIptables } from "#test/iptables.ts";
import { iptablesRules } from "./iptables.ts";

const never = new AbortController().signal;

function setUp(hostInterface: string, rules: string[] = []) {
  const target = { hostInterface, hostIp: "10.0.0.1", port: 8181 };
  return { iptables: iptablesRules(target, fakeIptables(rules)), rules };
}

describe("iptablesRules", () => {
  const cases = [
    { hostInterface: "docker0", spec: "-i docker0" },
    { hostInterface: "cali+", spec: "-i cali+" },
    { hostInterface: "!eth0", spec: "! -i eth0" },
  ];
  for (const { hostInterface, spec } of cases) {
    test(`are exactly Kiam's rule for ${hostInterface}, once however often they are applied`, async () => {
      const { iptables, rules } = setUp(hostInterface);
      await iptables.apply(never);
      await iptables.apply(never);
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

  const missing = cannotUseNamespaces();
  test(
    "are what the kernel lists, in a network namespace of the test's own",
    { skip: missing, timeout: 10_000 },
    () => {
      const module = new URL("./iptables.ts", import.meta.url).href;
      const apply = `const { iptablesRules } = await import("${module}");
        const rules = iptablesRules({ hostInterface: "cali+", hostIp: "10.0.0.1", port: 8181 });
        await rules.apply(new AbortController().signal);
        await rules.apply(new AbortController().signal);`;
      const { stdout, status } = spawnSync(
        "unshare",
        [
          "-n",
          "sh",
          "-c",
          '"$0" -e "$1" && iptables -t nat -S PREROUTING',
          process.execPath,
          apply,
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
