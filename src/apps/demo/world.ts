import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startApiServer, type ApiServer } from "#test/api-server.ts";
import { createAuthority, writeTlsFolder } from "#test/certificates.ts";
import { signingKey } from "#test/token-issuer.ts";
import { startSts, type StsSimulator } from "#test/sts.ts";
import { freePort, startRolecall, untilReady, type Started } from "./processes.ts";

export const ACCOUNT = "123456789012";

/** A node of the demo: the agent that runs there and how pods reach it. */
export interface DemoNode {
  readonly name: string;
  readonly agent: Started;
  readonly metadataUrl: string;
}

/** Everything outside Rolecall, simulated, and Rolecall itself as real processes. */
export interface World {
  readonly kubernetes: ApiServer;
  /** For files; it goes with the world. */
  readonly folder: string;
  readonly sts: StsSimulator;
  readonly server: Started;
  readonly nodes: readonly DemoNode[];
  /** Paths that were asked of the stand-in for the node's own metadata service. */
  readonly nodeMetadataAsked: readonly string[];
}

/** Starts the simulators, one server and an agent for each of two nodes. */
export async function startWorld(resources: AsyncDisposableStack): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), "rolecall-demo-"));
  resources.defer(() => rm(folder, { recursive: true, force: true }));

  const kubernetes = resources.use(await startApiServer());
  kubernetes.signingKeys = [signingKey()];
  const sts = resources.use(
    await startSts({
      account: ACCOUNT,
      baseKeys: { AKIADEMOSERVER: "demo-server-secret" },
    }),
  );
  const nodeMetadata = resources.use(await startNodeMetadata());
  const tls = await writeCertificates(folder);
  const kubeconfig = join(folder, "kubeconfig.json");
  await writeFile(kubeconfig, kubeconfigFor(kubernetes.url));

  const rpcPort = await freePort();
  const serverTelemetry = await freePort();
  const server = resources.use(
    startRolecall([
      "server",
      ...tls,
      `--bind=127.0.0.1:${rpcPort}`,
      `--kubeconfig=${kubeconfig}`,
      `--sts-endpoint=${sts.url}`,
      "--region=eu-west-1",
      `--prometheus-listen-addr=127.0.0.1:${serverTelemetry}`,
    ]),
  );
  const nodes: DemoNode[] = [];
  for (const name of ["node-a", "node-b"]) {
    const port = await freePort();
    const agent = resources.use(
      startRolecall([
        "agent",
        ...tls,
        `--port=${port}`,
        "--host=127.0.0.1",
        `--node-name=${name}`,
        `--server-address=localhost:${rpcPort}`,
        "--allow-route-regexp=.*",
        `--metadata-endpoint=${nodeMetadata.url}`,
      ]),
    );
    nodes.push({ name, agent, metadataUrl: `http://127.0.0.1:${port}` });
  }
  await untilReady(`http://127.0.0.1:${serverTelemetry}/readyz`);
  for (const { metadataUrl } of nodes) await untilReady(`${metadataUrl}/ping`);
  return { kubernetes, folder, sts, server, nodes, nodeMetadataAsked: nodeMetadata.asked };
}

async function writeCertificates(folder: string): Promise<string[]> {
  const authority = await createAuthority();
  const pair = await authority.issue({ names: ["localhost"], addresses: ["127.0.0.1"] });
  const files = await writeTlsFolder(join(folder, "tls"), { ...pair, ca: [authority.cert] });
  return [`--cert=${files.cert}`, `--key=${files.key}`, `--ca=${files.ca}`];
}

/** JSON is YAML, so a kubeconfig may be written as JSON. */
function kubeconfigFor(url: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "demo", cluster: { server: url } }],
    users: [{ name: "demo", user: {} }],
    contexts: [{ name: "demo", context: { cluster: "demo", user: "demo" } }],
    "current-context": "demo",
  });
}

/** What the node itself would answer: its own role, which no pod must ever get. */
async function startNodeMetadata(): Promise<AsyncDisposable & { url: string; asked: string[] }> {
  const asked: string[] = [];
  const server = http.createServer((request, response) => {
    asked.push(request.url ?? "");
    response.setHeader("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    response.end(request.url?.includes("instance-id") === true ? "i-demo" : "node-role");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    asked,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
