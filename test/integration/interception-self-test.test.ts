import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ROLECALL } from "#apps/demo/processes.ts";
import { MetadataNetwork, NODE_ADDRESS, NODE_ADDRESS_6 } from "#test/metadata-network.ts";
import { cannotMakeNamespaces, type Inside } from "#test/namespace.ts";

const PORT = 8181;
const PROBE = new URL("../../images/interception-probe.c", import.meta.url).pathname;
const HEALTHY = new URL("../support/healthy-server.ts", import.meta.url).pathname;
const WITHOUT = (capability: string): readonly string[] => [
  "setpriv",
  `--inh-caps=-${capability}`,
  `--bounding-set=-${capability}`,
];
const skip = cannotMakeNamespaces("nft", "iptables", "sysctl", "gcc");

/** A program that answers every request as an agent answers a ping. */
const PONG = `require("node:http").createServer((_, response) => response.end("pong"))
  .listen(8182, "::", () => console.log("listening"))`;

/** A node whose metadata service is a stand-in that tells of everything that gets to it. */
describe("the self-test of interception", { skip, timeout: 300_000 }, () => {
  let folder: string;
  let network: MetadataNetwork;
  let server: readonly string[];
  let agents: Inside[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "rolecall-self-test-"));
    execFileSync("gcc", ["-o", join(folder, "interception-probe"), PROBE]);
    network = await MetadataNetwork.open();
    const { lines } = network.node.start([process.execPath, HEALTHY]);
    while (lines.length === 0) await sleep(20);
    server = JSON.parse(lines[0] ?? "") as string[];
  });
  after(async () => {
    await network[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });
  afterEach(async () => {
    for (const agent of agents) await agent[Symbol.asyncDispose]();
    agents = [];
    for (const name of ["nft", "ip", "iptables"]) await restore(name);
    const left = state()
      .split("\n")
      .filter((line) => line.includes("rlc"));
    // Routing rules too, which stand between a probe and what is beyond the node.
    network.node.run(`nft flush ruleset
      for family in -4 -6; do for pref in 11 12 13; do
        while ip $family rule del pref $pref 2>/dev/null; do :; done
      done; done`);
    // Whatever the outcome: nothing of a probe left the node, and nothing of it is left.
    assert.deepEqual(network.askers(), []);
    assert.deepEqual(left, []);
  });

  const state = (): string => network.node.run("ip link; ip -4 rule; ip -6 rule; ip route");
  const readyFile = (): string => join(folder, `ready-${agents.length}`);
  const reported = (file: string): Promise<string> => readFile(file, "utf8").catch(() => "");

  /** Starts an agent that finds the image's program where the image has it. */
  function start(flags: readonly string[] = [], before: readonly string[] = []): Inside {
    const script = `mount --bind ${folder} /usr/local/sbin; exec "$@"`;
    const own = [`--port=${PORT}`, `--ready-file=${readyFile()}`];
    const inside = ["unshare", "--mount", "sh", "-euc", script, "sh", ...before];
    const command = [
      ...inside,
      ...ROLECALL,
      "agent",
      ...server,
      ...own,
      "--interception-self-test",
    ];
    const agent = network.node.start([...command, ...flags], { HOST_IP: NODE_ADDRESS });
    agents.push(agent);
    return agent;
  }

  async function until(isSo: () => boolean | Promise<boolean>, agent: Inside): Promise<void> {
    for (const start = performance.now(); !(await isSo()); await sleep(5)) {
      assert.ok(performance.now() - start < 30_000, agent.lines.join("\n"));
    }
  }
  const says = (agent: Inside, said: RegExp): Promise<void> =>
    until(() => agent.lines.some((line) => said.test(line)), agent);
  const isReady = (agent: Inside, file: string): Promise<void> =>
    until(async () => (await reported(file)) === "ready\n", agent);

  for (const [rules, ...flags] of [
    ["nft", "--interception=nft"],
    ["nft of pods' interfaces", "--interception=nft", "--host-interface=cali+"],
    ["nft of all others", "--interception=nft", "--host-interface=!eth0"],
    ["nft on a node of IPv6", "--interception=nft", `--host=${NODE_ADDRESS_6}`],
    ["iptables", "--iptables", "--host-interface=cali+"],
  ]) {
    test(`passes with the rules of ${rules}, and then the agent is ready`, async () => {
      const file = readyFile();
      const agent = start(flags);
      await says(agent, /self-test of interception has passed/);
      await isReady(agent, file);
    });
  }

  test("passes where the node has no IPv6 address of its own but for its links", async (t) => {
    network.node.run(`ip addr del ${NODE_ADDRESS_6}/64 dev eth0`);
    t.after(() => void network.node.run(`ip addr add ${NODE_ADDRESS_6}/64 dev eth0 nodad`));
    const agent = start(["--interception=nft"]);
    await says(agent, /self-test of interception has passed/);
  });

  test("passes where the kernel's rule for what is local comes late, as Cilium has it", async (t) => {
    const move = (from: number, to: number): void => {
      for (const family of ["-4", "-6"]) {
        network.node.run(`ip ${family} rule add pref ${to} lookup local
          ip ${family} rule del pref ${from} lookup local`);
      }
    };
    move(0, 100);
    t.after(() => move(100, 0));
    await says(start(["--interception=nft"]), /self-test of interception has passed/);
  });

  const stops = "agent does not become ready, and says what it found";
  for (const [fault, script, found] of [
    ["requests go to another port", `s/:${PORT}/:9/`, /169\.254\.169\.254: Connection refused/],
    [
      "only those by IPv6 go astray",
      `s/${NODE_ADDRESS_6}]:${PORT}/${NODE_ADDRESS_6}]:9/`,
      /fd00:ec2::254: Con/,
    ],
    [
      "one address is not intercepted",
      "s/, 169.254.170.23 } tcp/ } tcp/",
      /169\.254\.170\.23: Con/,
    ],
  ] as const) {
    test(`fails when ${fault}: the ${stops}, until it is mended`, async () => {
      // Our own transaction arrives changed, as if a foreign program had been at it.
      await replace("nft", `[ "$1" = -f ] && exec sh -c 'sed "${script}" | /usr/sbin/nft -f -'`);
      const file = readyFile();
      const agent = start(["--interception=nft"]);
      await says(agent, found);
      await until(
        async () => (await reported(file)).startsWith("interception does not work"),
        agent,
      );
      assert.match(agent.lines.join("\n"), /self-test of interception has failed/);

      await restore("nft");
      network.node.run("nft flush ruleset");
      await says(agent, /self-test of interception has passed/);
      await isReady(agent, file);
    });
  }

  test("fails when something else answers at the port that requests go to", async () => {
    const other = network.node.start([process.execPath, "-e", PONG]);
    await until(() => other.lines.length > 0, other);
    await replace(
      "nft",
      `[ "$1" = -f ] && exec sh -c 'sed s/:${PORT}/:8182/ | /usr/sbin/nft -f -'`,
    );
    const agent = start(["--interception=nft"]);
    await says(agent, /169\.254\.169\.254: an answer, but not by this agent/);
    await other[Symbol.asyncDispose]();
  });

  test("fails when no rule is there at all, and nothing of it leaves the node", async () => {
    network.node.run("iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE");
    await replace("iptables", "exit 0");
    const agent = start(["--iptables", "--host-interface=cali+"]);
    await says(agent, /self-test of interception has failed/);
  });

  test("fails when no rule of nft is there, and nothing of it leaves the node by IPv6 either", async () => {
    network.node.run(`nft -f - <<'END'
table inet outward {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    oifname "eth0" masquerade
  }
}
END`);
    await replace("nft", '[ "$1" = -f ] && exit 0');
    await replace("ip", 'case "$*" in *" rule add pref 1"[123]*) exit 0 ;; esac');
    const agent = start(["--interception=nft"]);
    await says(agent, /169\.254\.169\.254: \w.*, fd00:ec2::254: \w/);
  });

  test("passes beside another agent at the same port", async () => {
    const first = start(["--interception=nft"]);
    await says(first, /self-test of interception has passed/);
    const second = start(["--interception=nft"]);
    await says(second, /self-test of interception has passed/);
  });

  for (const [signal, ending] of [
    ["SIGTERM", "takes with it what it made"],
    ["SIGKILL", "leaves nothing that the next one does not take away"],
  ] as const) {
    test(`an agent that gets ${signal} in the midst of it ${ending}`, async () => {
      // What is run in the pod's namespace, once the node's side is there, does not come to its end.
      const own = network.node.run("readlink /proc/self/ns/net").trim();
      await replace("ip", `[ "$(readlink /proc/self/ns/net)" = "${own}" ] || exec sleep 30`);
      const agent = start(["--interception=nft"]);
      await until(() => /rlc\S+: <[^>]*\bUP\b/.test(state()), agent);
      agent.child.kill(signal);
      await agent.ended;
      await restore("ip");
      if (signal === "SIGTERM") return;
      await until(() => !/rlc/.test(network.node.run("ip link")), agent);
      assert.match(state(), /rlc\S* \[detached\]/);
      await says(start(["--interception=nft"]), /self-test of interception has passed/);
    });
  }

  for (const [why, reason, flags, before] of [
    ["it may not make a namespace", /SYS_ADMIN and NET_ADMIN/, ["--interception=nft"], "sys_admin"],
    ["pods come by one interface", /--host-interface=docker0 is one/, ["--iptables"], undefined],
  ] as const) {
    test(`is skipped where ${why}: the log says so, and the agent is ready`, async () => {
      const file = readyFile();
      const agent = start(flags, before === undefined ? [] : WITHOUT(before));
      await says(agent, /self-test of interception was skipped/);
      assert.match(agent.lines.join("\n"), reason);
      await isReady(agent, file);
    });
  }

  test("fails when what asks does not come to its end", async () => {
    const killed = "echo in; cat > /dev/null; kill -KILL $$";
    await replace("interception-probe", `exec unshare --net sh -c '${killed}'`);
    await says(start(["--interception=nft"]), /169\.254\.169\.254: no answer/);
  });

  test("is skipped where the image lacks its program", async () => {
    await restore("interception-probe");
    const agent = start(["--interception=nft"]);
    await says(agent, /the program interception-probe is not in the image/);
  });

  /** Puts a script in a program's place; what it does not take on is the program's. */
  async function replace(name: string, script: string): Promise<void> {
    const text = `#!/bin/sh\n${script}\nexec /usr/sbin/${name} "$@"\n`;
    await writeFile(join(folder, name), text, { mode: 0o755 });
  }
  const restore = (name: string): Promise<void> => rm(join(folder, name), { force: true });
});
