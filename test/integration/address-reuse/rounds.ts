/**
 * Runs in a network namespace of its own, which is a node's, below `unshare`: pods' network namespaces, one server, an agent
 * that reads the runtime's records and one that has none. Address after address goes from a pod with one role to a
 * pod with another while the server stands still; then a record names another pod than the one that Kubernetes names.
 * The last line of the output is what came of it, as JSON.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, startRolecall, type Started, untilReady } from "#apps/demo/processes.ts";
import { type ApiServer, startApiServer } from "#test/api-server.ts";
import { createAuthority, writeTlsFolder } from "#test/certificates.ts";
import { Namespace } from "#test/namespace.ts";
import {
  GATEWAYS,
  makeNode,
  type Plugged,
  type PodReply,
  type PodSpace,
  startPodSpace,
  type Topology,
} from "#test/node-network.ts";
import { kubernetesNamespace, kubernetesPod } from "#test/pods.ts";
import { startSts } from "#test/sts.ts";

/** What came of the rounds of one kind. */
export interface Tally {
  rounds: number;
  /** Answers of another pod's role or credentials. */
  wrong: number;
  /** Answers with an error, and the longest that one took, milliseconds. */
  refused: number;
  refusedMsMax: number;
  /** From the server's going on to the pod's own credentials, milliseconds. */
  ownAfterMs: number[];
}

/** What became of a pod whose address the node recorded for another one. */
export interface Misrecorded {
  /** Of its request. */
  readonly status: number;
  /** Of the pod's events: reason and message. */
  readonly told: readonly (readonly [string, string])[];
}

export interface Outcome {
  readonly tallies: Readonly<Record<string, Tally>>;
  readonly misrecorded: Misrecorded;
}

const NODE = "node-a";
const ACCOUNT = "123456789012";
const ROLES_PATH = "latest/meta-data/iam/security-credentials";
/** Addresses that move at once. */
const LANES = 4;
const OWN_WITHIN_MS = 20_000;
/** Long enough for the agents to hear of a pod that never asks. */
const SILENT_MS = 400;
/** How long a dispute is waited for at its pod's owner. */
const TOLD_WITHIN_MS = 10_000;

/** An agent and what it knows by itself. */
interface Agent {
  readonly port: number;
  /** The folder of records; undefined where the agent has none. */
  readonly records: string | undefined;
}

interface Node {
  readonly kubernetes: ApiServer;
  readonly server: Started;
}

/** One address, and the two namespaces between which it goes back and forth. */
interface Lane {
  readonly topology: Topology;
  readonly agent: Agent;
  readonly address: string;
  readonly tally: Tally;
  spaces: readonly [PodSpace, PodSpace];
  former: Pod | undefined;
}

interface Pod {
  readonly name: string;
  readonly uid: string;
  readonly role: string;
  readonly space: PodSpace;
  readonly plugged: Plugged;
}

let pods = 0;

/** As the runtime does: the network first, then the record, then the containers. */
async function startPod(node: Node, lane: Lane, space: PodSpace, role: string): Promise<Pod> {
  const name = `pod-${(pods += 1)}`;
  const uid = `uid-default-${name}`;
  const plugged = await space.plug(lane.address);
  if (lane.agent.records !== undefined) {
    await writeFile(join(lane.agent.records, `pods-${uid}-eth0`), recordOf(name, uid, plugged));
  }
  node.kubernetes.putPod(
    kubernetesPod({
      name,
      uid,
      node: NODE,
      addresses: [lane.address],
      annotations: { "iam.amazonaws.com/role": role },
    }),
  );
  return { name, uid, role, space, plugged };
}

async function endPod(node: Node, pod: Pod): Promise<void> {
  await pod.space.unplug();
  node.kubernetes.removePod("default", pod.name);
}

async function removeRecord(lane: Lane, pod: Pod | undefined): Promise<void> {
  const { records } = lane.agent;
  if (records !== undefined && pod !== undefined) await rm(join(records, `pods-${pod.uid}-eth0`));
}

function recordOf(name: string, uid: string, plugged: Plugged): string {
  return JSON.stringify({
    kind: "cniCacheV1",
    ifName: "eth0",
    cniArgs: [
      ["K8S_POD_NAMESPACE", "default"],
      ["K8S_POD_NAME", name],
      ["K8S_POD_UID", uid],
    ],
    result: {
      cniVersion: "1.0.0",
      interfaces: [
        { name: plugged.hostInterface },
        { name: "eth0", mac: plugged.hardwareAddress, sandbox: `/var/run/netns/${name}` },
      ],
      ips: [{ address: `${plugged.address}/24`, interface: 1 }],
    },
  });
}

function urlFor({ topology, agent }: Lane, role: string): string {
  return `http://${GATEWAYS[topology]}:${agent.port}/${ROLES_PATH}/${role}`;
}

/** Asks for the pod's role, the former pod's credentials and its own, in turn, until `isOver`. */
async function askUntil(lane: Lane, pod: Pod, isOver: (own: PodReply) => boolean): Promise<void> {
  const { tally } = lane;
  const formerRole = lane.former?.role ?? "none";
  const note = ({ status, ms }: PodReply): void => {
    if (status === 200) return;
    tally.refused += 1;
    tally.refusedMsMax = Math.max(tally.refusedMsMax, ms);
  };
  for (;;) {
    const list = await pod.space.get(urlFor(lane, ""));
    if (list.status === 200 && list.body !== pod.role) tally.wrong += 1;
    note(list);
    const foreign = await pod.space.get(urlFor(lane, formerRole));
    if (foreign.status === 200) tally.wrong += 1;
    const own = await pod.space.get(urlFor(lane, pod.role));
    note(own);
    if (isOver(own)) return;
  }
}

/** Asks until the server goes on and the pod has got its own credentials. */
async function askForOwn(lane: Lane, pod: Pod, thaw: { readonly at: number }): Promise<void> {
  const started = performance.now();
  await askUntil(lane, pod, ({ status }) => {
    const now = performance.now();
    if (status === 200 && now > thaw.at) {
      lane.tally.ownAfterMs.push(now - thaw.at);
      return true;
    }
    if (now - started < OWN_WITHIN_MS) return false;
    throw new Error(`${pod.name} at ${lane.address} never got its role`);
  });
}

/**
 * The server stands still before, while or after the former pods die; the moment changes with the round. Some pods never ask,
 * so that nothing but the server's word is known of them.
 */
async function round(node: Node, lanes: readonly Lane[], number: number): Promise<void> {
  const order = number % 3;
  const isSilent = number % 4 === 3;
  const stop = (): void => node.server.signal("SIGSTOP");
  if (order === 0) stop();
  const ending = lanes.map(async (lane) => {
    if (lane.former !== undefined) await endPod(node, lane.former);
    if (order !== 0) await removeRecord(lane, lane.former);
  });
  if (order === 1) stop();
  await Promise.all(ending);
  if (order === 2) stop();

  const thaw = { at: Number.POSITIVE_INFINITY, ...Promise.withResolvers<void>() };
  const asking = lanes.map(async (lane) => {
    const { former } = lane;
    const [space, other] = lane.spaces;
    lane.spaces = [other, space];
    const pod = await startPod(node, lane, space, `role-${lane.address}-${number % 3}`);
    // An address is free, and may be another's, while the former pod's record is still there.
    const removing = order === 0 ? sleep(300).then(() => removeRecord(lane, former)) : undefined;
    if (isSilent) await thaw.promise.then(() => sleep(SILENT_MS));
    else await askForOwn(lane, pod, thaw);
    await removing;
    lane.tally.rounds += 1;
    lane.former = pod;
  });
  await sleep(100 + (number % 5) * 300);
  node.server.signal("SIGCONT");
  thaw.at = performance.now();
  thaw.resolve();
  await Promise.all(asking);
}

/** The pod's record goes, and another one says that its address is a pod's that nobody knows. */
async function misrecord({ kubernetes }: Node, lane: Lane): Promise<Misrecorded> {
  const { former: pod, agent } = lane;
  if (pod === undefined || agent.records === undefined) throw new Error("no pod with a record");
  await removeRecord(lane, pod);
  const record = recordOf("stranger", "uid-stranger", pod.plugged);
  await writeFile(join(agent.records, "pods-uid-stranger-eth0"), record);
  const { status } = await pod.space.get(urlFor(lane, pod.role));
  const told = (): Misrecorded["told"] =>
    kubernetes.events
      .filter((event) => (event["involvedObject"] as { uid: string }).uid === pod.uid)
      .map(({ reason, message }) => [String(reason), String(message)]);
  const until = performance.now() + TOLD_WITHIN_MS;
  while (told().length === 0 && performance.now() < until) await sleep(50);
  return { status, told: told() };
}

async function main(rounds: number): Promise<Outcome> {
  await using resources = new AsyncDisposableStack();
  const space = Namespace.own();
  await makeNode(space);
  const folder = await mkdtemp(join(tmpdir(), "rolecall-reuse-"));
  resources.defer(() => rm(folder, { recursive: true, force: true }));
  const kubernetes = resources.use(await startApiServer());
  kubernetes.putNamespace(
    kubernetesNamespace({
      name: "default",
      annotations: { "iam.amazonaws.com/permitted": ".*" },
    }),
  );
  const keys = { AKIADEMOSERVER: "demo-server-secret" };
  const sts = resources.use(await startSts({ account: ACCOUNT, baseKeys: keys }));
  const authority = await createAuthority();
  const pair = await authority.issue({ names: ["localhost"], addresses: ["127.0.0.1"] });
  const files = await writeTlsFolder(join(folder, "tls"), { ...pair, ca: [authority.cert] });
  const tls = [`--cert=${files.cert}`, `--key=${files.key}`, `--ca=${files.ca}`];
  const kubeconfig = join(folder, "kubeconfig");
  await writeFile(
    kubeconfig,
    JSON.stringify({
      clusters: [{ name: "a", cluster: { server: kubernetes.url } }],
      users: [{ name: "a", user: {} }],
      contexts: [{ name: "a", context: { cluster: "a", user: "a" } }],
      "current-context": "a",
    }),
  );
  const rpc = await freePort();
  const telemetry = await freePort();
  const server = resources.use(
    startRolecall([
      "server",
      ...tls,
      `--bind=127.0.0.1:${rpc}`,
      `--kubeconfig=${kubeconfig}`,
      `--sts-endpoint=${sts.url}`,
      "--region=eu-west-1",
      `--prometheus-listen-addr=127.0.0.1:${telemetry}`,
    ]),
  );
  await untilReady(`http://127.0.0.1:${telemetry}/readyz`);

  const startAgent = async (records: string | undefined): Promise<Agent> => {
    const [port, ready] = [await freePort(), await freePort()];
    resources.use(
      startRolecall([
        "agent",
        ...tls,
        `--port=${port}`,
        "--host=127.0.0.1",
        `--node-name=${NODE}`,
        `--server-address=localhost:${rpc}`,
        `--cni-results=${records ?? join(folder, "absent")}`,
        `--prometheus-listen-addr=127.0.0.1:${ready}`,
        "--metadata-endpoint=http://127.0.0.1:9",
      ]),
    );
    await untilReady(`http://127.0.0.1:${ready}/readyz`);
    return { port, records };
  };
  const records = join(folder, "records");
  await mkdir(records);
  const agents = [await startAgent(records), await startAgent(undefined)];

  const tallies: Record<string, Tally> = {};
  const lanes: Lane[] = [];
  for (const topology of ["routed", "bridged"] as const) {
    for (const agent of agents) {
      const tally = { rounds: 0, wrong: 0, refused: 0, refusedMsMax: 0, ownAfterMs: [] };
      tallies[`${topology}, ${agent.records === undefined ? "no records" : "records"}`] = tally;
      for (let count = 0; count < LANES / 2; count += 1) {
        const [one, other] = await Promise.all([
          startPodSpace(space, topology),
          startPodSpace(space, topology),
        ]);
        resources.use(one);
        resources.use(other);
        const network = GATEWAYS[topology].replace(/\d+$/, "");
        const address = `${network}${10 + lanes.length}`;
        lanes.push({ topology, agent, address, tally, spaces: [one, other], former: undefined });
      }
    }
  }
  const node = { kubernetes, server };
  const moves = Math.ceil(rounds / LANES);
  for (let number = 0; number <= moves; number += 1) await round(node, lanes, number);
  const [recorded] = lanes;
  if (recorded === undefined) throw new Error("no address moved");
  return { tallies, misrecorded: await misrecord(node, recorded) };
}

process.stdout.write(`${JSON.stringify(await main(Number(process.argv[2] ?? "8")))}\n`);
