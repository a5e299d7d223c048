import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ROLECALL } from "#apps/demo/processes.ts";
import { createAuthority, writeTlsFolder } from "#test/certificates.ts";
import {
  CONTAINER,
  METADATA,
  MetadataNetwork,
  NODE_ADDRESS,
  NODE_ADDRESS_6,
  OTHER_WAYS,
  type Prober,
} from "#test/metadata-network.ts";
import { cannotMakeNamespaces, type Inside } from "#test/namespace.ts";

const ENDPOINTS = [...METADATA, ...CONTAINER];
const AGENT = /^pong$/;
const NODE_ROLE = /^node-role$/;
/** What a client is told at once; `silence` would be its own patience. */
const REFUSED = /^(?:ECONNREFUSED|EACCES|EHOSTUNREACH)$/;
/** Pods beside the node: nothing but the table of bridges keeps them from the machine's network. */
const FLAT = /^(?:10\.8\.|fd08:)/;
/** Opens what routing rules close, so that the rules of nft stand alone. */
const OPEN_FENCE = "for family in -4 -6; do while ip $family rule del pref 12; do :; done; done";
const skip = cannotMakeNamespaces("nft", "sysctl");

/**
 * One node from its boot on. Its pods ask at every metadata address all the time; from the first rule on
 * none of their requests may arrive at the stand-in, whatever happens to the agent and to its rules.
 */
describe("nft interception, seen by pods", { skip, timeout: 180_000 }, () => {
  let folder: string;
  let tls: readonly string[];
  let network: MetadataNetwork;
  /** Pods whose requests the agent is to get. */
  let served: readonly Prober[];
  /** Everybody who must not get through. */
  let pods: Prober[];
  /** One that keeps its connections. */
  let keeping: Prober;
  let agent: Inside;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "rolecall-nft-"));
    const authority = await createAuthority();
    const pair = await authority.issue({ names: ["agent"] });
    const files = await writeTlsFolder(join(folder, "tls"), { ...pair, ca: [authority.cert] });
    tls = [`--cert=${files.cert}`, `--key=${files.key}`, `--ca=${files.ca}`];
    network = await MetadataNetwork.open();
    const urls = [...ENDPOINTS, ...OTHER_WAYS];
    served = [network.probe("routed", urls), network.probe("bridged", urls)];
    keeping = network.probe("routed", METADATA, "--keep");
    pods = [...served, network.probe("flat", ENDPOINTS), keeping];
  });
  after(async () => {
    await network[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });
  // The one thing that all of it is about.
  let bridgesAreOpen = false;
  afterEach((t) => {
    const leaked = network.leaked().filter((from) => !(bridgesAreOpen && FLAT.test(from)));
    network.forget();
    bridgesAreOpen = false;
    if (t.name !== CONTROL) assert.deepEqual(leaked, []);
  });

  const CONTROL = "without rules every pod gets to the node's role, by each way";

  /** `rolecall agent intercept`, to its end. */
  async function intercept(...flags: readonly string[]): Promise<readonly string[]> {
    const { lines, ended } = network.node.start(
      [...ROLECALL, "agent", "intercept", "--interception=nft", "--port=8181", ...flags],
      { HOST_IP: NODE_ADDRESS },
    );
    assert.equal(await ended, 0, lines.join("\n"));
    return lines;
  }

  function startAgent(
    flags: readonly string[],
    before: readonly string[] = [],
    port = 8181,
  ): Inside {
    return network.node.start(
      [...before, ...ROLECALL, "agent", ...tls, `--port=${port}`, ...flags],
      {
        HOST_IP: NODE_ADDRESS,
      },
    );
  }

  async function stop(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    agent.child.kill(signal);
    await agent.ended;
  }

  async function everyServedPodGets(outcome: RegExp): Promise<void> {
    for (const prober of served) prober.forget();
    for (const prober of served) await prober.until(outcome, ENDPOINTS);
  }

  /** Waits until `said` was said once more than before. */
  async function says(said: RegExp, from = agent): Promise<void> {
    const told = (): number => from.lines.filter((line) => said.test(line)).length;
    for (const start = performance.now(); told() === 0; await sleep(10)) {
      assert.ok(performance.now() - start < 20_000, from.lines.join("\n"));
    }
  }

  const rules = (): string =>
    network.node.run("nft list ruleset; ip -4 rule | sort; ip -6 rule | sort");

  test(CONTROL, async () => {
    for (const prober of pods) await prober.until(NODE_ROLE);
    assert.notEqual(network.leaked().length, 0);
  });

  test("once the rules are there, before any agent, all are refused at once, kept connections too", async () => {
    await intercept();
    await keeping.until(REFUSED);
    const kept = [...keeping.answers().values()].flat();
    assert.ok(!kept.includes("silence"), kept.join());
    // What was on its way when the rules came.
    await sleep(100);
    network.forget();

    for (const prober of pods) prober.forget();
    for (const prober of pods.filter(({ place }) => place !== "flat")) await prober.until(REFUSED);
    await sleep(1_000);

    for (const prober of pods) {
      const outcomes = [...prober.answers().values()].flat();
      assert.ok(!outcomes.some((outcome) => AGENT.test(outcome) || NODE_ROLE.test(outcome)));
    }
  });

  test("the node's own requests go where they went", async () => {
    await using own = network.probe("node", [...ENDPOINTS, ...OTHER_WAYS]);
    await own.until(NODE_ROLE);
    assert.deepEqual(new Set([...own.answers().values()].flat()), new Set(["node-role"]));
  });

  test("so do those to an address that is its own, as that of EKS Pod Identity's agent", async () => {
    await using _ = network.serveOnNode(["169.254.170.23/32", "fd00:ec2::23/128"]);
    await using own = network.probe("node", CONTAINER);
    await own.until(NODE_ROLE);
    for (const prober of served) prober.forget();
    for (const prober of served) await prober.until(REFUSED);
  });

  test("an agent without NET_ADMIN gets their requests, routed and bridged, IPv4 and IPv6", async () => {
    const without = ["setpriv", "--inh-caps=-net_admin", "--bounding-set=-net_admin"];
    agent = startAgent([], without);
    await everyServedPodGets(AGENT);
    for (const prober of served) {
      await prober.until(REFUSED, OTHER_WAYS);
      const others = OTHER_WAYS.flatMap((url) => prober.answers().get(url) ?? []);
      assert.ok(!others.includes("pong"), others.join());
    }
    await stop("SIGTERM");
  });

  test("an agent of a node that is known by IPv6 gets those by IPv4, of interfaces without an address too", async () => {
    const host = `--host=${NODE_ADDRESS_6}`;
    await intercept(host);
    agent = startAgent([host]);
    await everyServedPodGets(AGENT);
    await stop("SIGTERM");
  });

  test("where the node has one address alone, the other family goes to the interface's", async (t) => {
    network.node.run(`ip addr del ${NODE_ADDRESS_6}/64 dev eth0`);
    t.after(() => void network.node.run(`ip addr add ${NODE_ADDRESS_6}/64 dev eth0 nodad`));
    agent = startAgent(["--interception=nft"]);
    await everyServedPodGets(AGENT);
    await stop("SIGTERM");
  });

  test("an agent that holds its rules gets them, is killed, and started again", async () => {
    agent = startAgent(["--interception=nft"]);
    await everyServedPodGets(AGENT);
    await stop("SIGKILL");
    await everyServedPodGets(REFUSED);
    agent = startAgent(["--interception=nft"]);
    await everyServedPodGets(AGENT);
  });

  test("a pod that comes later, on an interface of another name, is intercepted", async () => {
    await network.addRouted("late", "veth9", 9);
    const late = network.probe("late", ENDPOINTS);
    pods.push(late);
    await late.until(AGENT);
  });

  const faults = {
    "the whole ruleset is flushed": "nft flush ruleset",
    "the table is deleted": "nft delete table inet rolecall",
    "the rules that refuse are flushed": "nft flush chain inet rolecall refuse",
    "the rules that intercept are flushed": "nft flush chain inet rolecall intercept",
    "the table of bridges is deleted": "nft delete table bridge rolecall",
  };
  for (const [fault, script] of Object.entries(faults)) {
    test(`when ${fault}, it is repaired within a second`, async () => {
      const whole = rules();
      bridgesAreOpen = /flush ruleset|bridge/.test(script);
      network.node.run(script);
      const gone = performance.now();
      while (rules() !== whole) {
        assert.ok(performance.now() - gone < 1_000, rules());
        await sleep(5);
      }
      await everyServedPodGets(AGENT);
    });
  }

  test("when a routing rule is deleted, it is repaired within seconds", async () => {
    const whole = rules();
    network.node.run("ip -4 rule del pref 12; ip -6 rule del pref 12");
    const gone = performance.now();
    while (rules() !== whole) {
      assert.ok(performance.now() - gone < 6_000, rules());
      await sleep(50);
    }
  });

  test("an agent with another port and interface takes over once it answers", async () => {
    const next = startAgent(["--interception=nft", "--host-interface=!eth0"], [], 8182);
    await says(/interception rules are there/, next);
    await says(/listening/, next);
    while (!rules().includes("8182")) await sleep(20);
    const taken = rules();
    assert.match(taken, /iifname != "eth0"/);
    // The one before it lets them be, though they are not its own.
    network.node.run("nft add table inet other; nft delete table inet other");
    await sleep(300);
    assert.equal(rules(), taken);
    await stop("SIGTERM");
    agent = next;
    await everyServedPodGets(AGENT);
  });

  test("with an interface that pods don't come from, they are refused and not let through", async () => {
    await stop("SIGTERM");
    agent = startAgent(["--interception=nft", "--host-interface=docker0"]);
    await says(/listening/);
    while (!rules().includes("docker0")) await sleep(20);
    await everyServedPodGets(REFUSED);
    await stop("SIGTERM");
  });

  for (const host of ["10.9.0.1", "fd09::1"]) {
    test(`with an address that another machine has, ${host}, they are refused and not sent there`, async () => {
      await intercept(`--host=${host}`);
      const urls = ENDPOINTS.filter((url) => url.includes("[") === host.includes(":"));
      for (const prober of served) prober.forget();
      for (const prober of served) await prober.until(REFUSED, urls);
    });
  }

  for (const [fence, script] of Object.entries({
    "rules of nft": OPEN_FENCE,
    "routing rules": "nft flush ruleset",
  })) {
    test(`without an agent to repair anything, the ${fence} alone hold`, async () => {
      // With this interface nothing is redirected.
      await intercept("--host-interface=docker0");
      bridgesAreOpen = script.includes("flush ruleset");
      network.node.run(script);
      for (const prober of pods) prober.forget();
      // What routing prohibits is told at a limited rate.
      const outcome = fence === "routing rules" ? /EHOSTUNREACH|EACCES|silence/ : REFUSED;
      for (const prober of served) {
        await prober.until(outcome);
        assert.notDeepEqual(new Set([...prober.answers().values()].flat()), new Set(["silence"]));
      }
      await sleep(500);
    });
  }

  test("another program's translation takes no request from the agent, and brings none here by another name", async () => {
    await intercept();
    network.forget();
    network.node.run(`${OPEN_FENCE}
      nft -f - <<'END'
table inet other {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    ip daddr 169.254.169.254 tcp dport 80 dnat ip to 10.9.0.1
    ip6 daddr fd00:ec2::254 tcp dport 80 dnat ip6 to fd09::1
    ip daddr 10.96.0.1 dnat ip to 169.254.169.254
    ip6 daddr fd96::1 dnat ip6 to fd00:ec2::254
  }
}
END`);
    agent = startAgent([]);
    await everyServedPodGets(AGENT);
    await using byAnotherName = network.probe("routed", ["http://10.96.0.1", "http://[fd96::1]"]);
    await byAnotherName.until(REFUSED);
    await stop("SIGTERM");
    network.node.run("nft delete table inet other");
  });

  test("they go only when that is asked for", async () => {
    await intercept();
    network.forget();
    await everyServedPodGets(REFUSED);
    assert.deepEqual(network.leaked(), []);

    await intercept("--remove");

    await everyServedPodGets(NODE_ROLE);
    assert.doesNotMatch(rules(), /rolecall|prohibit|nop/);
    network.forget();
  });
});
