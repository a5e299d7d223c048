import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { makeAuthority, type Authority } from "../certificates.ts";
import { createNamespace, startPod } from "../pods.ts";
import { probe, ROLE_PATH } from "../probe.ts";
import { until } from "../process.ts";
import { ROLECALL_NAMESPACE, SERVER_NAMES, type Part } from "../rolecall.ts";
import type { Scenario, World } from "../world.ts";

const NAMESPACE = "certificates";
const PARTS = ["agent", "server"] as const satisfies readonly Part[];
/** A kubelet looks once in a period, of about a minute, whether a secret that it mounted has changed. */
const PROPAGATION_MS = 150_000;

/** The chart's secrets, whose keys are Kiam's. */
interface TlsSecret {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Certificates are replaced under running processes: first the CA beside the old one, then the leaves. */
export const certificates: Scenario = (world) => {
  test("certificates of another CA take over while everything runs", async (t) => {
    const { cluster, folder } = world();
    const { signal } = cluster;
    await createNamespace(cluster, NAMESPACE, ".*");
    const options = { namespace: NAMESPACE, name: "asking", node: "a", role: "asking" };
    const pod = await startPod(cluster, options);
    await using asking = probe(pod, ROLE_PATH, 50, signal);
    await asking.first(({ body }) => body === "asking", 0, 10_000);

    const successor = await makeAuthority(folder, "successor");
    const ca = await readFile(successor.certificate, "utf8");
    const former = await readCa(world());
    const replace = async (secretOf: (part: Part) => Promise<TlsSecret>): Promise<void> => {
      const before = await reloads(world());
      for (const part of PARTS) await writeSecret(world(), part, await secretOf(part));
      await until(
        async () => (await reloads(world())).every((n, index) => n > (before[index] ?? 0)),
        {
          what: "the new certificate files at every process",
          withinMs: PROPAGATION_MS,
          everyMs: 500,
          signal,
        },
      );
    };
    await replace(async () => ({ ca: `${former}\n${ca}` }));
    await replace(async (part) => ({ ca, ...(await leaf(successor, part)) }));

    // New connections are made with what is on disk now.
    await world().rolecall.restart("server");
    const since = Date.now();
    await pod.setRole("afterwards");
    await asking.first(({ body }) => body === "afterwards", since, 10_000);
    assert.deepEqual(
      asking.answers.filter(({ status }) => status !== 200),
      [],
    );
    t.diagnostic(`certificates and CA replaced: ${asking.answers.length} answers, 0 failed`);
  });
};

/** How often each process has taken up new certificate files. */
async function reloads({ rolecall }: World): Promise<readonly number[]> {
  const logs = await Promise.all(PARTS.map((part) => rolecall.logs(part)));
  return logs.flat().map((log) => log.split("TLS certificate updated").length - 1);
}

async function leaf(authority: Authority, part: Part): Promise<TlsSecret> {
  const names = part === "server" ? SERVER_NAMES : [];
  const { certificate, key } = await authority.issue(part, `CN=rolecall-${part}`, names);
  return { cert: await readFile(certificate, "utf8"), key: await readFile(key, "utf8") };
}

function secretPath(part: Part): string {
  return `/api/v1/namespaces/${ROLECALL_NAMESPACE}/secrets/rolecall-${part}`;
}

async function readCa({ cluster }: World): Promise<string> {
  const { data } = (await cluster.controlPlane.api.call("GET", secretPath("server"))) as {
    readonly data: { readonly ca: string };
  };
  return Buffer.from(data.ca, "base64").toString();
}

async function writeSecret({ cluster }: World, part: Part, secret: TlsSecret): Promise<void> {
  await cluster.controlPlane.api.call("PATCH", secretPath(part), { stringData: secret });
}
