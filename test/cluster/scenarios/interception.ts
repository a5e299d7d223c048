import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { CREDENTIAL_ADDRESSES, inNode } from "../network.ts";
import { createNamespace, startPod, type Pod } from "../pods.ts";
import {
  CREDENTIAL_URLS,
  credentialUrl,
  isAgents,
  startProbe,
  type Answer,
  type Probe,
} from "../probe.ts";
import { run } from "../process.ts";
import { TOPOLOGIES, type Scenario } from "../world.ts";

const NAMESPACE = "interception";
const ROLE = "intercepted";
/** How often a pod asks at each of the four addresses. */
const EVERY_MS = 20;
/** How soon what a foreign program took away must be back. */
const REPAIRED_MS = 1_000;
/** How often the rules go while pods ask, and how long they are watched each time. */
const ROUNDS = 5;
const WATCHED_MS = 1_500;

/** What another program may do to the rules of a node, by its command there. */
const DAMAGES = {
  "the ruleset is flushed": "nft flush ruleset",
  "the table is deleted": "nft delete table inet rolecall",
  "the rules are flushed out of the table": "nft flush table inet rolecall",
} as const;

/** Whatever happens to the rules, no pod's request gets to what serves the node's own credentials. */
export const interception: Scenario = (world) => {
  describe("what pods ask of the credential addresses", () => {
    const pods: Pod[] = [];
    const probes: Probe[] = [];
    before(async () => {
      const { cluster } = world();
      await createNamespace(cluster, NAMESPACE, ".*");
      const urls = CREDENTIAL_URLS;
      for (const { node } of TOPOLOGIES) {
        const options = { namespace: NAMESPACE, name: `asking-${node}`, node, role: ROLE };
        const pod = await startPod(cluster, options);
        const asking = startProbe(
          pod,
          { urls, everyMs: EVERY_MS, keepAlive: false },
          cluster.signal,
        );
        pods.push(pod);
        probes.push(asking);
        for (const url of urls) {
          await asking.first((answer) => answer.url === url && isOwn(answer), 0, 10_000);
        }
      }
    });
    after(async () => {
      for (const asking of probes) await asking[Symbol.asyncDispose]();
    });
    /** None of them got through. */
    const noneFellThrough = (): void => assert.deepEqual(world().metadata.fromPods(), []);

    for (const [what, command] of Object.entries(DAMAGES)) {
      test(`is kept from the node while ${what}, again and again`, async (t) => {
        const { rolecall, folder } = world();
        const saved = await Promise.all(TOPOLOGIES.map(({ node }) => saveProxyRules(node, folder)));
        const before = await rolecall.metric("agent", "rolecall_interception_repairs_total");
        let slowest = 0;
        let refused = 0;
        for (let round = 0; round < ROUNDS; round += 1) {
          const [program = "", ...args] = command.split(" ");
          const damaged = Date.now();
          for (const { node } of TOPOLOGIES) await inNode(node, program, args);
          for (const restore of saved) await restore();
          await sleep(WATCHED_MS);
          const lost = probes.flatMap(({ answers }) =>
            answers.filter((answer) => answer.at >= damaged && !isOwn(answer)),
          );
          refused += lost.length;
          slowest = Math.max(slowest, ...lost.map(({ at }) => at - damaged));
        }
        noneFellThrough();
        t.diagnostic(
          `${what} ${ROUNDS} times on each node: ${refused} requests without an answer, the last ${slowest} ms after; 0 fell through`,
        );
        assert.ok(slowest <= REPAIRED_MS, `not answered for ${slowest} ms`);
        const repairs = await rolecall.metric("agent", "rolecall_interception_repairs_total");
        assert.ok(repairs > before, "repairs are counted");
      });
    }

    test("is kept from the node on a pod's second interface", async (t) => {
      for (const pod of pods) {
        const { node } = pod;
        const name = node.network.name;
        const inPod = (line: string): Promise<string> =>
          run("nsenter", [`--net=/proc/${pod.pid}/ns/net`, "--", "ip", ...line.split(" ")]);
        const link = `link add second-host type veth peer name second netns ${pod.pid}`;
        await inNode(name, "ip", link.split(" "));
        await inNode(name, "ip", "addr add 10.99.0.1/24 dev second-host".split(" "));
        await inNode(name, "ip", "link set second-host up".split(" "));
        await inPod("addr add 10.99.0.2/24 dev second");
        await inPod("link set second up");
        const answers: string[] = [];
        for (const address of CREDENTIAL_ADDRESSES.IPv4) {
          await inPod(`route replace ${address} via 10.99.0.1 dev second src 10.99.0.2`);
          const { status } = await pod.get(credentialUrl(address));
          assert.notEqual(status, 200);
          answers.push(`${address}: ${status}`);
          await inPod(`route del ${address} dev second`);
        }
        t.diagnostic(`second interface of ${pod.name}: ${answers.join(", ")}`);
      }
      noneFellThrough();
    });

    test("is kept from the node by an agent that was told of a wrong interface", async (t) => {
      const { rolecall } = world();
      let answers: readonly Answer[];
      try {
        await rolecall.upgrade({ agent: { host: { interface: "wrong0" } } });
        const since = Date.now();
        await sleep(WATCHED_MS);
        answers = probes.flatMap((asking) => asking.answers.filter(({ at }) => at > since));
      } finally {
        await rolecall.upgrade({});
      }
      for (const asking of probes) await asking.first(isOwn, Date.now(), 30_000);
      assert.deepEqual(answers.filter(isOwn), []);
      noneFellThrough();
      t.diagnostic(`--host-interface=wrong0: ${answers.length} requests, 0 fell through`);
    });
  });
};

function isOwn(answer: Answer): boolean {
  return isAgents(answer, ROLE);
}

/**
 * Notes the rules of a node's kube-proxy. What it returns puts them back: kube-proxy itself would not see for half a
 * minute or longer that somebody flushed them, and names of services lead nowhere until then.
 */
async function saveProxyRules(node: string, folder: string): Promise<() => Promise<void>> {
  const tables = ["ip kube-proxy", "ip6 kube-proxy"].map((table) => table.split(" "));
  const listed = tables.map((table) => inNode(node, "nft", ["list", "table", ...table]));
  const file = join(folder, `kube-proxy-${node}.nft`);
  // Each is made, so that it can be deleted, before it is made as it was.
  const anew = tables.map((table) => `table ${table.join(" ")}\ndelete table ${table.join(" ")}\n`);
  await writeFile(file, [...anew, ...(await Promise.all(listed))].join(""));
  return async () => void (await inNode(node, "nft", ["-f", file]));
}
