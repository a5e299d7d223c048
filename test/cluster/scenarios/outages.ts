import assert from "node:assert/strict";
import { after, before, describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { createNamespace, createPod, deletePod, runningPod, startPod, type Pod } from "../pods.ts";
import { medianMs, probe, ROLE_PATH, type Answer, type Probe } from "../probe.ts";
import { roleIn, TOPOLOGIES, type Scenario, type World } from "../world.ts";

const NAMESPACE = "steady";
const OUTAGE_MS = 60_000;
const LONG_OUTAGE_MS = 600_000;
/** How long answers are timed before an outage. */
const BEFORE_MS = 10_000;
const EVERY_MS = 50;
/** What the AWS SDK for Go v2, the least patient client, waits for an answer (specs: aws-clients.md §2a). */
const PATIENCE_MS = 500;
/** How much slower half of the answers may get while everything else is down. */
const SLOWER = 1.2;
/** What the probe itself can't tell apart. */
const NOISE_MS = 0.5;

/** Something that goes away, and how it comes back. */
interface Outage {
  readonly gone: string;
  /** Whether no server is left: nobody could give a pod other credentials. */
  readonly withoutServers?: boolean;
  readonly begin: (world: World) => Promise<void>;
  readonly end: (world: World) => Promise<void>;
  /** What is true of a pod whose agent was killed meanwhile, at the time `killed`. */
  readonly withAgentKilled?: (t: TestContext, asking: Probe, killed: number) => Promise<void>;
}

const SERVERS: Outage = {
  gone: "both servers are",
  withoutServers: true,
  begin: ({ rolecall }) => rolecall.killServers(),
  end: ({ rolecall }) => rolecall.startServers(),
};
const API_SERVER: Outage = {
  gone: "the API server is",
  begin: ({ cluster }) => cluster.controlPlane.stop(),
  end: ({ cluster }) => cluster.controlPlane.start(),
  withAgentKilled: async (t, asking, killed) => {
    await asking.first(({ status }) => status !== 200, killed, 10_000);
    const { at } = await asking.first(({ status }) => status === 200, killed + 500, 90_000);
    const answers = asking.answers.filter((answer) => answer.at >= killed);
    t.diagnostic(
      `an agent killed then: its pod is served again by the servers' word after ${at - killed} ms, until then ${refusalsIn(answers)}`,
    );
  },
};
const STS: Outage = {
  gone: "STS is",
  begin: async ({ sts }) => sts.become("gone"),
  end: async ({ sts }) => sts.become("works"),
};
const EVERYTHING: Outage = {
  gone: "servers, API server and STS are all",
  withoutServers: true,
  begin: async (world) => {
    for (const { begin } of [SERVERS, API_SERVER, STS]) await begin(world);
  },
  end: async (world) => {
    for (const { end } of [STS, API_SERVER, SERVERS]) await end(world);
  },
  withAgentKilled: async (t, asking, killed) => {
    const { at } = await asking.first(({ status }) => status === 500, killed, 90_000);
    await sleep(5_000);
    const answers = asking.answers.filter((answer) => answer.at >= at);
    assert.ok(answers.every(({ status }) => status !== 200));
    t.diagnostic(
      `an agent killed then answers after ${at - killed} ms, and refuses until a server is back: ${refusalsIn(answers)} in 5 s`,
    );
  },
};

/** Pods that were served go on being served, whatever goes away. */
export const outages: Scenario = (world) => {
  describe("pods that were served", () => {
    const pods: Pod[] = [];
    before(async () => {
      const { cluster } = world();
      await createNamespace(cluster, NAMESPACE, ".*");
      for (const { node } of TOPOLOGIES) {
        const options = { namespace: NAMESPACE, name: `steady-${node}`, node, role: "steady" };
        pods.push(await startPod(cluster, options));
      }
    });
    let probes: readonly Probe[];
    before(async () => {
      const { signal } = world().cluster;
      probes = pods.map((pod) => probe(pod, `${ROLE_PATH}steady`, EVERY_MS, signal));
      for (const asking of probes) await asking.first(({ status }) => status === 200, 0, 10_000);
    });
    after(async () => {
      for (const asking of probes) await asking[Symbol.asyncDispose]();
    });

    /** What each pod was answered while something happened. */
    const answersDuring = async (
      happening: () => Promise<void>,
    ): Promise<readonly (readonly Answer[])[]> => {
      const from = probes.map(({ answers }) => answers.length);
      await happening();
      return probes.map(({ answers }, index) => answers.slice(from[index]));
    };

    /**
     * Lets something happen and, whatever comes of it, be mended; holds every answer of that time against
     * what pods need.
     */
    const goOn = async (
      happening: () => Promise<void>,
      mend: () => Promise<void> = async () => {},
    ): Promise<string> => {
      const answers = await answersDuring(async () => {
        try {
          await happening();
        } finally {
          await mend();
        }
      });
      return judged(answers.flat());
    };

    /** A change that is made now arrives: the servers follow the cluster, and the agents ask them. */
    const followed = async (t: TestContext): Promise<void> => {
      for (const pod of pods) {
        const since = Date.now();
        await pod.setRole("other");
        await using asking = probe(pod, ROLE_PATH, 50, world().cluster.signal);
        const { at } = await asking.first(({ body }) => body === "other", since, 60_000);
        t.diagnostic(`afterwards a changed role was followed in ${at - since} ms`);
        await pod.setRole("steady");
        await asking.first(({ body }) => body === "steady", Date.now(), 10_000);
      }
    };

    test("while the servers are rolled out", async (t) => {
      t.diagnostic(`servers rolled out: ${await goOn(() => world().rolecall.restart("server"))}`);
    });

    test("while one server is killed", async (t) => {
      const { rolecall } = world();
      const seen = await goOn(async () => {
        await rolecall.kill("server", 1);
        await sleep(3_000);
        await rolecall.rolledOut("server");
      });
      t.diagnostic(`one server killed: ${seen}`);
    });

    test("while STS fails and throttles; a new role comes when STS does", async (t) => {
      const { cluster, sts } = world();
      const options = { namespace: NAMESPACE, name: "late", node: "a", role: "late" };
      const callsOf = (): number =>
        sts.calls.filter(({ roleArn }) => roleArn.endsWith(":role/late")).length;
      const seen = await goOn(
        async () => {
          sts.become("throttles");
          await createPod(cluster, options);
          const pod = await runningPod(cluster, options);
          await using asking = probe(pod, `${ROLE_PATH}late`, 100, cluster.signal);
          await asking.first(({ status }) => status === 500, 0, 10_000);
          sts.become("fails");
          await sleep(10_000);
          const spent = callsOf();
          assert.ok(spent > 0 && spent <= 60, `${spent} calls while STS was away`);
          t.diagnostic(
            `STS away while a pod asked ten times a second: ${spent} calls by 2 servers`,
          );
          sts.become("works");
          const back = Date.now();
          const first = await asking.first(({ status }) => status === 200, back, 60_000);
          t.diagnostic(`STS back: the waiting pod got its role after ${first.at - back} ms`);
        },
        async () => sts.become("works"),
      );
      t.diagnostic(`STS failing and throttling: ${seen}`);
      await deletePod(cluster, NAMESPACE, "late");
    });

    for (const outage of [STS, SERVERS, API_SERVER, EVERYTHING]) {
      const { gone, withoutServers = false, begin, end, withAgentKilled } = outage;
      test(`while ${gone} gone, as fast as ever and as who they were`, async (t) => {
        const span = world().long ? LONG_OUTAGE_MS : OUTAGE_MS;
        const before = (await answersDuring(() => sleep(BEFORE_MS))).flat();
        const agents = await world().rolecall.processes("agent");
        let during: readonly (readonly Answer[])[];
        try {
          await begin(world());
          during = await answersDuring(() => sleep(span));
          if (withAgentKilled !== undefined) {
            const [[first], [asking]] = [pods, probes];
            const agent = agents.find(({ node }) => node === first?.node.network.name);
            assert.ok(asking && agent);
            const killed = Date.now();
            process.kill(agent.pid, "SIGKILL");
            await withAgentKilled(t, asking, killed);
          }
        } finally {
          await end(world());
        }
        const seen = judged(during.flat());
        const [was, is] = [medianMs(before), medianMs(during.flat())];
        t.diagnostic(
          `${gone} gone for ${span / 1_000} s: ${seen}; half of them within ${is.toFixed(2)} ms, before ${was.toFixed(2)} ms`,
        );
        for (const answers of during) {
          const bodies = [...new Set(answers.map(({ body }) => body))];
          for (const body of bodies) assert.match(roleIn(world(), body), /:role\/steady$/);
          // Servers hold sessions of their own, and agents spread over them some time after they were rolled out.
          if (withoutServers) assert.equal(bodies.length, 1);
        }
        assert.ok(is <= Math.max(SLOWER * was, was + NOISE_MS), `${is} ms, before ${was} ms`);
        const back = Date.now();
        for (const asking of probes)
          await asking.first(({ status }) => status === 200, back, 30_000);
        await followed(t);
        assert.deepEqual(world().metadata.fromPods(), []);
      });
    }
  });
};

/** What a pod was told instead of credentials, each of which a client takes for a reason to try again. */
function refusalsIn(answers: readonly Answer[]): string {
  const refused = answers.filter(({ status }) => status !== 200);
  assert.deepEqual(
    refused.filter(({ status }) => status !== 0 && status !== 500),
    [],
  );
  const none = refused.filter(({ status }) => status === 0).length;
  return `${none} times no answer and ${refused.length - none} times 500`;
}

/** Holds answers against what every pod needs of each. */
function judged(answers: readonly Answer[]): string {
  assert.ok(answers.length > 20, "the pods asked all the time");
  const slowest = Math.round(Math.max(...answers.map(({ ms }) => ms)));
  assert.deepEqual(answers.filter(({ status }) => status !== 200).slice(0, 3), []);
  assert.ok(slowest <= PATIENCE_MS, `an answer took ${slowest} ms`);
  return `${answers.length} answers, 0 failed, the slowest took ${slowest} ms`;
}
