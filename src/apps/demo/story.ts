import { setTimeout as sleep } from "node:timers/promises";
import { kubernetesNamespace, kubernetesPod } from "#test/pods.ts";
import { startPod, type PodProcess, type WhoAmI } from "./pod.ts";
import { get } from "./processes.ts";
import type { Report } from "./report.ts";
import { projectToken } from "./token.ts";
import { ACCOUNT, type DemoNode, type World } from "./world.ts";

const ROLE = "iam.amazonaws.com/role";
const FOLLOWED_WITHIN_MS = 1_000;

interface Application extends PodProcess {
  readonly namespace: string;
  readonly name: string;
  readonly address: string;
  readonly node: DemoNode;
}

/** What a pod is in the demo; `role` is its annotation as written. */
interface Described {
  readonly namespace: string;
  readonly name: string;
  readonly address: string;
  readonly node: number;
  readonly role?: string;
  /** Shares its node's address, and so proves by its token who it is. */
  readonly hostNetwork?: true;
}

const CART: Described = {
  namespace: "shop",
  name: "cart",
  address: "127.0.1.10",
  node: 0,
  role: "shop/cart-reader",
};
const CHECKOUT: Described = {
  namespace: "shop",
  name: "checkout",
  address: "127.0.2.10",
  node: 1,
  role: "shop/payments",
};
const REPORTS: Described = {
  namespace: "data",
  name: "reports",
  address: "127.0.1.20",
  node: 0,
  role: "arn:aws:iam::210987654321:role/data/reports",
};
const CURIOUS: Described = {
  namespace: "guests",
  name: "curious",
  address: "127.0.2.20",
  node: 1,
  role: "cluster-admin",
};
/** Both on the host network of one node. */
const EXPORTER: Described = {
  namespace: "data",
  name: "exporter",
  address: "127.0.0.1",
  node: 0,
  role: "arn:aws:iam::210987654321:role/data/etl",
  hostNetwork: true,
};
const PROBE: Described = {
  namespace: "shop",
  name: "probe",
  address: "127.0.0.1",
  node: 0,
  role: "shop/probe",
  hostNetwork: true,
};
const PLAIN: Described = { namespace: "guests", name: "plain", address: "127.0.1.30", node: 0 };

/** Plays the whole demo, one statement after the other. */
export async function tell(
  world: World,
  report: Report,
  resources: AsyncDisposableStack,
): Promise<void> {
  putNamespaces(world);
  const start = async (described: Described): Promise<Application> =>
    resources.use(await startApplication(world, described));

  report.chapter("Two nodes, three namespaces; every pod asks STS who it is, with the AWS SDK");
  const cart = await start(CART);
  const checkout = await start(CHECKOUT);
  const reports = await start(REPORTS);
  await expectRole(report, cart, "shop/cart-reader");
  await expectRole(report, checkout, "shop/payments");
  await expectRole(report, reports, "data/reports", "210987654321");

  report.chapter("A pod names a role that its namespace does not permit");
  await expectRefusal(world, report, await start(CURIOUS));

  report.chapter("Two pods share their node's address; their tokens say who is who");
  await expectRole(report, await start(EXPORTER), "data/etl", "210987654321");
  await expectRole(report, await start(PROBE), "shop/probe");

  report.chapter("A role is changed by annotation");
  await expectFollowed(world, report, cart);

  report.chapter("What would a pod have got from the node?");
  await expectNothingFromNode(world, report, await start(PLAIN));

  report.chapter("The server is stopped");
  await world.server.stop();
  report.line("server: stopped");
  await expectRole(report, cart, "shop/cart-writer", ACCOUNT, "while the server is down, ");
  await expectRole(report, checkout, "shop/payments", ACCOUNT, "while the server is down, ");
}

function putNamespaces({ kubernetes }: World): void {
  const permitted = {
    shop: `arn:aws:iam::${ACCOUNT}:role/shop/.*`,
    data: "arn:aws:iam::210987654321:role/data/(reports|etl)",
    guests: `arn:aws:iam::${ACCOUNT}:role/guest-.*`,
  };
  for (const [name, expression] of Object.entries(permitted)) {
    kubernetes.putNamespace(
      kubernetesNamespace({
        name,
        annotations: { "iam.amazonaws.com/permitted": expression },
      }),
    );
  }
}

function putPod({ kubernetes, nodes }: World, pod: Described): void {
  kubernetes.putPod(
    kubernetesPod({
      namespace: pod.namespace,
      name: pod.name,
      node: nodes[pod.node]?.name ?? "",
      addresses: [pod.address],
      phase: "Running",
      hostNetwork: pod.hostNetwork ?? false,
      annotations: pod.role === undefined ? {} : { [ROLE]: pod.role },
    }),
  );
}

async function startApplication(world: World, described: Described): Promise<Application> {
  putPod(world, described);
  const node = world.nodes[described.node];
  if (node === undefined) throw new Error(`no node ${described.node}`);
  const environment = described.hostNetwork
    ? {
        AWS_CONTAINER_CREDENTIALS_FULL_URI: `${node.metadataUrl}/v1/credentials`,
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: await projectToken(world, {
          ...described,
          node: node.name,
        }),
      }
    : { AWS_EC2_METADATA_SERVICE_ENDPOINT: node.metadataUrl };
  const process = startPod(described.address, environment, world.sts.url);
  return Object.assign(process, {
    namespace: described.namespace,
    name: described.name,
    address: described.address,
    node,
  });
}

/** `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`: STS drops the role's path. */
function isRole({ arn }: WhoAmI, role: string, account: string): boolean {
  return (
    arn?.startsWith(`arn:aws:sts::${account}:assumed-role/${role.split("/").at(-1)}/`) === true
  );
}

async function expectRole(
  report: Report,
  pod: Application,
  role: string,
  account = ACCOUNT,
  when = "",
): Promise<void> {
  const who = await pod.whoAmI();
  report.state(
    `${when}${pod.namespace}/${pod.name} on ${pod.node.name} is ${role}`,
    isRole(who, role, account),
    `${who.arn ?? who.error} (${who.ms} ms)`,
  );
}

async function expectRefusal(
  { kubernetes }: World,
  report: Report,
  pod: Application,
): Promise<void> {
  const who = await pod.whoAmI();
  await get(
    `${pod.node.metadataUrl}/latest/meta-data/iam/security-credentials/cluster-admin`,
    pod.address,
  );
  const until = performance.now() + 2_000;
  const isReason = (event: { reason?: unknown }): boolean => event.reason === "KiamRoleForbidden";
  while (!kubernetes.events.some(isReason) && performance.now() < until) await sleep(20);
  const event = kubernetes.events.find(isReason);
  report.state(
    `${pod.namespace}/${pod.name} gets no credentials`,
    who.arn === undefined,
    who.arn ?? `the SDK says: ${who.error}`,
  );
  report.state(
    "its owners are told why, by an event on the pod",
    event !== undefined,
    event === undefined ? "no event" : String(event["message"]),
  );
}

async function expectFollowed(world: World, report: Report, pod: Application): Promise<void> {
  const changed = performance.now();
  putPod(world, { ...CART, role: "shop/cart-writer" });
  let who = await pod.whoAmI();
  while (!isRole(who, "shop/cart-writer", ACCOUNT) && performance.now() - changed < 5_000) {
    who = await pod.whoAmI();
  }
  const ms = Math.round(performance.now() - changed);
  report.state(
    `${pod.namespace}/${pod.name} is shop/cart-writer within ${FOLLOWED_WITHIN_MS} ms`,
    isRole(who, "shop/cart-writer", ACCOUNT) && ms <= FOLLOWED_WITHIN_MS,
    `${who.arn ?? who.error} after ${ms} ms`,
  );
}

async function expectNothingFromNode(
  world: World,
  report: Report,
  pod: Application,
): Promise<void> {
  const base = `${pod.node.metadataUrl}/latest`;
  const asked = [
    `${base}/meta-data/iam/security-credentials/`,
    `${base}/meta-data/iam/security-credentials/node-role`,
    `${base}/meta-data/iam/info`,
    `${base}/meta-data/identity-credentials/ec2/security-credentials/ec2-instance`,
    `${base}/user-data`,
    `${base}/meta-data/iam/security-credentials/x%0a`,
  ];
  const answers = [];
  for (const url of asked) answers.push(await get(url, pod.address));
  const who = await pod.whoAmI();
  const sensitive = world.nodeMetadataAsked.filter((path) => /iam|credential|user-data/.test(path));
  report.state(
    `${pod.namespace}/${pod.name}, which names no role, gets nothing although every path is allowed`,
    who.arn === undefined && answers.every(({ body }) => !body.includes("node-role")),
    `${answers.length} sensitive paths answered ${[...new Set(answers.map(({ status }) => status))].join(", ")}`,
  );
  report.state(
    "the node's own metadata service was never asked for credentials",
    sensitive.length === 0,
    `${sensitive.length} such requests of ${world.nodeMetadataAsked.length} in all`,
  );
}
