import assert from "node:assert/strict";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";

import { inNode } from "../network.ts";
import { createNamespace, startPod, TOKEN_FILE, type Pod, type PodOptions } from "../pods.ts";
import { until } from "../process.ts";
import { TOPOLOGIES, type Scenario } from "../world.ts";

const ROLES = ["reader", "writer"] as const;
/** How long a client may take to say who it is. */
const ANSWER_MS = 30_000;

const COMPLAINT_CHARS = 2_000;

/** Each AWS client, by the command that says who it is, and says so again once that has changed. */
const CLIENTS = {
  boto3: "env PYTHONPATH=/opt/python python3 /opt/python/client.py",
  "AWS CLI v1": "env PYTHONPATH=/opt/python /opt/cli/client.sh python3 -m awscli",
  "AWS CLI v2": "/opt/cli/client.sh aws",
  "JavaScript v3": "node /opt/js/client.mjs",
  "Go v2": "/opt/go/client",
  "Java v2":
    "/opt/java/runtime/bin/java -XX:TieredStopAtLevel=1 -cp /opt/java/classes:/opt/java/lib/* Client",
  Rust: "/opt/rust/client",
} as const;

type ClientName = keyof typeof CLIENTS;

/** One way from a client to its credentials. */
interface Way {
  readonly pod: Pick<PodOptions, "environment" | "command" | "token">;
  /** The clients that can't go it, and why. */
  readonly closed?: Partial<Record<ClientName, string>>;
}

const NO_IMDSV1 = { Rust: "the SDK knows IMDSv2 only" };

const NO_EKS = { "AWS CLI v2": "Debian's, 2.9.19, is older than EKS Pod Identity's addresses" };
const IPV6 = { AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: "IPv6" };

const WAYS: Readonly<Record<string, Way>> = {
  "IMDSv2, IPv4": { pod: {} },
  "IMDSv2, IPv6": { pod: { environment: IPV6 } },
  "IMDSv1, IPv4": { pod: onlyImdsv1("http://169.254.169.254"), closed: NO_IMDSV1 },
  "IMDSv1, IPv6": { pod: onlyImdsv1("http://[fd00:ec2::254]"), closed: NO_IMDSV1 },
  "container endpoint, IPv4": { pod: containerEndpoint("169.254.170.23"), closed: NO_EKS },
  "container endpoint, IPv6": { pod: containerEndpoint("[fd00:ec2::23]"), closed: NO_EKS },
};

/** Every client says who its pod is by every way that it knows, at its first call and when it asks anew. */
export const clients: Scenario = (world) => {
  // The nodes don't wait for each other: clients mostly wait for themselves to start.
  describe("AWS clients", { concurrency: TOPOLOGIES.length }, () => {
    for (const { node, topology } of TOPOLOGIES) {
      describe(`in a ${topology} pod`, { concurrency: false }, () => {
        for (const [way, { pod: options, closed = {} }] of Object.entries(WAYS)) {
          test(`are the role that it names, then the one that it is given: ${way}`, async (t) => {
            const { cluster } = world();
            const namespace = `clients-${node}-${way.toLowerCase().replaceAll(/\W+/g, "-")}`;
            await createNamespace(cluster, namespace, "arn:aws:iam::\\d+:role/team/.*");
            const named = { namespace, name: "clients", node, role: `team/${ROLES[0]}` };
            const pod = await startPod(cluster, { ...named, ...options });
            await until(async () => (await tentative(node)) === "", {
              what: `addresses of IPv6 on node ${node} that may be used`,
              withinMs: 10_000,
              signal: cluster.signal,
            });
            let [now, next]: readonly [string, string] = ROLES;
            for (const [name, command] of Object.entries(CLIENTS)) {
              const reason = closed[name as ClientName];
              await using client = talkTo(name, pod, command);
              if (reason !== undefined) {
                await assert.rejects(client.line(), `${name} can do it: ${reason}?`);
                t.diagnostic(`${name}: can't, since ${reason}`);
                continue;
              }
              const started = performance.now();
              assert.equal(await client.line(), arnOf(now), name);
              const ms = Math.round(performance.now() - started);
              await pod.setRole(`team/${next}`);
              assert.equal(await client.line(), arnOf(next), name);
              t.diagnostic(
                `${name}: said who it is ${ms} ms after its start, and anew when asked again`,
              );
              [now, next] = [next, now];
            }
          });
        }
      });
    }
  });
};

/**
 * The addresses at which a node does not answer yet. The `ptp` plug-in gives the node's end of a pod's link its
 * address of IPv6 last and does not wait for it: what a pod sends by IPv6 in its first 2 s takes 1 to 2 s, and
 * some of the clients give up after 1 s.
 */
function tentative(node: string): Promise<string> {
  return inNode(node, "ip", ["-6", "-oneline", "address", "show", "tentative"]);
}

function arnOf(role: string): string {
  return `arn:aws:sts::123456789012:assumed-role/${role}/kiam-kiam`;
}

/** A way on which session tokens are refused before a request gets out of the pod. */
function onlyImdsv1(metadata: string): Way["pod"] {
  return {
    environment: {
      METADATA: metadata,
      // With the slash that AWS CLI v2 of Debian wants.
      AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://127.0.0.1:8001/",
    },
    command: ["node", "/opt/js/only-imdsv1.mjs"],
  };
}

/** The way of EKS Pod Identity. */
function containerEndpoint(host: string): Way["pod"] {
  return {
    environment: {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://${host}/v1/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: TOKEN_FILE,
      // The SDK for Java takes an endpoint of IPv6 for one only where that is what is preferred.
      ...IPV6,
    },
    token: true,
  };
}

/** A client that runs in a pod. */
interface Client extends AsyncDisposable {
  /**
   * The next line that it says.
   *
   * @throws when it ends or is silent for too long, with what it wrote about that.
   */
  line(): Promise<string>;
}

function talkTo(name: string, pod: Pod, command: string): Client {
  const child = pod.start(...command.split(" "));
  assert.ok(child.stdout && child.stderr);
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-COMPLAINT_CHARS);
  });
  const ended = once(child, "exit");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    line: async () => {
      const silence = setTimeout(() => child.kill(), ANSWER_MS);
      const { value, done } = await lines.next();
      clearTimeout(silence);
      if (done === true) throw new Error(`${name} said nothing more: ${complaint}`);
      return value;
    },
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await ended;
    },
  };
}
