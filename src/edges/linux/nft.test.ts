import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { textAnswer, tokenAnswer } from "#core/imds/answers.ts";
import { answerText } from "#edges/http/answer-text.ts";
import { cannotMakeNamespaces, Namespace } from "#test/namespace.ts";
import type { Execute } from "./execute.ts";
import { interceptedEndpoints } from "./intercepted-addresses.ts";
import type { InterceptionEvent } from "./interception-rules.ts";
import { nftRules } from "./nft.ts";
import { otherAddress } from "./other-address.ts";
import { fenced } from "./routing-fence.ts";

const never = new AbortController().signal;
const skip = cannotMakeNamespaces("nft");

const target = { hostIp: "10.0.0.1", port: 8181, endpoints: interceptedEndpoints(true) };

describe("nftRules, in a kernel's network namespace", { skip, timeout: 20_000 }, () => {
  async function setUp() {
    const namespace = await Namespace.open();
    const events: InterceptionEvent[] = [];
    const observe = (event: InterceptionEvent): void => void events.push(event);
    const exec = namespace.execute;
    const rules = (since: number, hostInterface?: string) =>
      nftRules({
        target: { ...target, hostInterface, since },
        otherIp: (signal) => otherAddress(target.hostIp, signal, exec),
        observe,
        exec,
      });
    return { namespace, rules, exec, events };
  }

  test("stand unchanged once they are applied, however often", async () => {
    const { namespace, rules, events } = await setUp();
    await using _ = namespace;
    const ours = rules(1);
    assert.equal(await ours.stand(never), false);
    for (let times = 0; times < 2; times += 1) {
      await ours.apply(never);
      assert.deepEqual([await ours.stand(never), await ours.areIntact(never)], [true, true]);
    }
    assert.deepEqual(events, []);
  });

  for (const change of [
    "nft flush ruleset",
    "nft delete table inet rolecall",
    "nft delete table bridge rolecall",
    "nft flush chain inet rolecall refuse",
    "nft insert rule inet rolecall intercept accept",
    "nft 'add chain inet rolecall refuse { policy drop; }'",
  ]) {
    test(`are not intact after '${change}', and are again once they are applied`, async () => {
      const { namespace, rules } = await setUp();
      await using _ = namespace;
      const ours = rules(1);
      await ours.apply(never);
      namespace.run(change);
      assert.equal(await ours.areIntact(never), false);
      await ours.apply(never);
      assert.equal(await ours.areIntact(never), true);
    });
  }

  test("give way to those of an agent that started later, and to no other's", async () => {
    const { namespace, rules } = await setUp();
    await using _ = namespace;
    const [first, second] = [rules(1), rules(2, "!eth0")];
    await first.apply(never);
    await second.apply(never);
    assert.deepEqual([await first.areIntact(never), await second.areIntact(never)], [true, true]);
    await first.apply(never);
    assert.equal(await second.areIntact(never), false);
  });

  test("bring the other family to the node's address while it has one, and follow it", async () => {
    const { namespace, rules } = await setUp();
    await using _ = namespace;
    namespace.run("ip link add eth0 type bridge; ip addr add 10.0.0.1/24 dev eth0");
    const ours = rules(1);
    const way = (): string | undefined =>
      /ip6 daddr .* tcp dport 80 (?<way>.*)/.exec(namespace.run("nft list ruleset"))?.groups?.[
        "way"
      ];
    await ours.apply(never);
    assert.equal(way(), "redirect to :8181");
    for (const [change, expected] of [
      ["add fd09::2/64", "dnat ip6 to [fd09::2]:8181"],
      ["del fd09::2/64", "redirect to :8181"],
    ] as const) {
      namespace.run(`ip addr ${change} dev eth0`);
      assert.equal(await ours.areIntact(never), false);
      await ours.apply(never);
      assert.deepEqual([await ours.areIntact(never), way()], [true, expected]);
    }
  });

  test("leave what is not ours, and go whole", async () => {
    const { namespace, rules, exec } = await setUp();
    await using _ = namespace;
    namespace.run("nft add table inet other; ip rule add pref 12 to 192.0.2.1 prohibit");
    const before = namespace.run("nft list ruleset; ip -4 rule; ip -6 rule");
    const ours = fenced(rules(1), target.endpoints, exec);
    await ours.apply(never);
    assert.equal(await ours.areIntact(never), true);

    await ours.remove(never);
    await ours.remove(never);

    assert.equal(namespace.run("nft list ruleset; ip -4 rule; ip -6 rule"), before);
  });

  /** Serves one answer and reads it, in the namespace. */
  const EXCHANGE = `
    const net = require("node:net");
    const [port, host, answer] = process.argv.slice(1);
    const server = net.createServer((socket) => socket.end(answer)).listen(port, host, () =>
      net.connect(port, host).resume().on("close", () => server.close()));`;
  const frame = { isHead: false, connection: undefined, date: "now" } as const;
  const answers = [
    { what: "a token", port: 8181, answer: tokenAnswer("token", 60), limit: 1 },
    { what: "anything else", port: 8181, answer: textAnswer(200, "role"), limit: 64 },
    { what: "what is another program's", port: 80, answer: tokenAnswer("token", 60), limit: 64 },
  ];
  for (const { what, port, answer, limit } of answers) {
    for (const timestamps of [0, 1]) {
      const tcp = timestamps === 1 ? "with TCP timestamps" : "without TCP timestamps";
      test(`let ${what} go ${limit} hop${limit === 1 ? "" : "s"}, ${tcp}`, async () => {
        const { namespace, rules } = await setUp();
        await using _ = namespace;
        await rules(1).apply(never);
        namespace.run(`ip link set lo up; sysctl -w net.ipv4.tcp_timestamps=${timestamps}`);
        namespace.run(`nft -f - <<'END'
table inet seen {
  chain input {
    type filter hook input priority 0;
    tcp sport ${port} tcp flags psh ip ttl ${limit} counter
    tcp sport ${port} tcp flags psh ip6 hoplimit ${limit} counter
  }
}
END`);
        const exec = namespace.execute;
        for (const host of ["127.0.0.1", "::1"]) {
          const text = answerText(answer, frame);
          await exec(process.execPath, ["-e", EXCHANGE, `${port}`, host, text], never);
        }
        const seen = namespace.run("nft list table inet seen");
        assert.deepEqual(
          [...seen.matchAll(/counter packets (?<packets>\d+)/g)].map(
            ({ groups }) => groups?.["packets"],
          ),
          ["1", "1"],
        );
      });
    }
  }

  test("leave the node its own way at every moment, as they come and as they go", async () => {
    const { namespace, rules, exec } = await setUp();
    await using _ = namespace;
    namespace.run(`ip link add eth0 type bridge; ip link set eth0 up
      ip addr add 10.0.0.1/24 dev eth0; ip addr add fd09::2/64 dev eth0 nodad
      ip route add default via 10.0.0.2; ip -6 route add default via fd09::1`);
    let looks = 0;
    const looking: Execute = async (...call) => {
      const done = await exec(...call);
      for (const { ip, ip6 } of target.endpoints) {
        namespace.run(`ip route get ${ip}; ip route get ${ip6}`);
        looks += 1;
      }
      return done;
    };
    const ours = fenced(rules(1), target.endpoints, looking);
    await ours.apply(never);
    await ours.remove(never);
    assert.ok(looks >= 24);
  });

  test("are behind routing rules, each of which is missed", async () => {
    const { namespace, rules, exec } = await setUp();
    await using _ = namespace;
    const ours = fenced(rules(1), target.endpoints, exec);
    await ours.apply(never);
    const { ip, ip6 } = target.endpoints[0] ?? { ip: "", ip6: "" };
    for (const rule of [`-4 rule del pref 12 to ${ip}`, `-6 rule del pref 11 to ${ip6}`]) {
      namespace.run(`ip ${rule}`);
      assert.deepEqual([await ours.stand(never), await ours.areIntact(never)], [false, false]);
      await ours.apply(never);
      assert.deepEqual([await ours.stand(never), await ours.areIntact(never)], [true, true]);
    }
  });
});

describe("nftRules", () => {
  /** An nft that refuses what `refuses` matches in its input. */
  function setUp(refuses: RegExp, stderr: string) {
    const events: InterceptionEvent[] = [];
    const rules = nftRules({
      target: { ...target, hostInterface: undefined, since: 1 },
      otherIp: async () => undefined,
      observe: (event) => void events.push(event),
      exec: async (_program, parameters, _signal, input = "") =>
        refuses.test(parameters.join(" ") + input)
          ? { status: 1, stdout: "", stderr }
          : { status: 0, stdout: "the tables", stderr: "" },
    });
    return { rules, events };
  }

  test("do without bridges in a kernel that knows no tables of them, and say so", async () => {
    const { rules, events } = setUp(/bridge/, "Error: Could not process rule: Not supported\n…");
    await rules.apply(never);
    assert.equal(await rules.areIntact(never), true);
    const reason = "Error: Could not process rule: Not supported";
    assert.deepEqual(events, [{ type: "bridges_open", reason }]);
  });

  test("say which capability is missing", async () => {
    const { rules } = setUp(
      /./,
      "netlink: Error: cache initialization failed: Operation not permitted",
    );
    for (const does of ["stand", "apply", "remove"] as const) {
      await assert.rejects(rules[does](never), { code: "invalid_settings", message: /NET_ADMIN/ });
    }
  });

  for (const wrong of [{ hostIp: "node-1" }, { port: 0 }, { hostInterface: 'x" accept #' }]) {
    test(`refuse ${JSON.stringify(wrong)}`, () => {
      const all = { ...target, hostInterface: undefined, since: 1, ...wrong };
      const options = { target: all, otherIp: async () => undefined, observe: () => {} };
      assert.throws(() => nftRules(options), { code: "invalid_settings" });
    });
  }
});
