import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import type { AppError } from "#core/errors.ts";
import { type ApiServer, startApiServer } from "#test/api-server.ts";
import { type Authority, createAuthority } from "#test/certificates.ts";
import { FakeClock } from "#test/fake-clock.ts";
import { inClusterConnection, kubeconfigConnection } from "./connection.ts";
import { readAll } from "./decoder.ts";
import type { KubernetesConnection } from "./request.ts";

const never = new AbortController().signal;

describe("connections to the API server", { timeout: 20_000 }, () => {
  let root: string;
  let folder: string;
  let authority: Authority;
  let api: ApiServer;
  let count = 0;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), "rolecall-kubernetes-"));
    authority = await createAuthority();
    const tls = await authority.issue({ names: ["kubernetes"], addresses: ["127.0.0.1"] });
    api = await startApiServer({ tls, tokens: ["right"] });
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
    await rm(root, { recursive: true, force: true });
  });
  beforeEach(async () => {
    count += 1;
    folder = join(root, String(count));
    await mkdir(folder);
    await writeFile(join(folder, "token"), "right\n");
    await writeFile(join(folder, "ca.crt"), authority.cert);
  });

  async function statusOf(connection: KubernetesConnection): Promise<number> {
    using answer = await connection.request({
      method: "GET",
      path: "/api/v1/pods?limit=1",
      accept: "application/json",
      idleMs: 5_000,
      signal: never,
    });
    await readAll(answer.body, 65_536);
    return answer.status;
  }

  function inCluster(clock = new FakeClock()): Promise<KubernetesConnection> {
    const { hostname, port } = new URL(api.url);
    const environment = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
    return inClusterConnection({ environment, clock, folder });
  }

  /** The connection that a kubeconfig file gives; `change` edits it before it is written. */
  async function fromFile(change: (text: string) => string = (text) => text) {
    const path = join(folder, "kubeconfig");
    const file = {
      clusters: [{ name: "c", cluster: { server: api.url, "certificate-authority": "ca.crt" } }],
      users: [{ name: "u", user: { tokenFile: "token" } }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      "current-context": "x",
    };
    await writeFile(path, change(JSON.stringify(file)));
    return kubeconfigConnection(path, { clock: new FakeClock() });
  }

  test("are made with a service account's files", async () => {
    using connection = await inCluster();
    assert.equal(await statusOf(connection), 200);
  });

  test("are made as a kubeconfig file says, its paths relative to it", async () => {
    using connection = await fromFile();
    assert.equal(await statusOf(connection), 200);
  });

  test("are refused outside a pod, with what would help", async () => {
    const outside = inClusterConnection({ environment: {}, clock: new FakeClock(), folder });
    await assert.rejects(outside, { code: "invalid_settings", message: /--kubeconfig/ });
  });

  for (const file of ["token", "ca.crt"]) {
    test(`are refused without the service account's ${file}`, async () => {
      await rm(join(folder, file));
      const message = `Cannot read ${join(folder, file)}`;
      await assert.rejects(inCluster(), { code: "invalid_settings", message });
    });

    test(`go on with what was read while ${file} is missing, and take what comes`, async () => {
      const clock = new FakeClock();
      using connection = await inCluster(clock);
      await rm(join(folder, file));
      await clock.advance(60_000);
      assert.equal(await statusOf(connection), 200);
    });
  }

  test("read a token anew that is refused", async () => {
    await writeFile(join(folder, "token"), "wrong");
    using connection = await inCluster();
    assert.equal(await statusOf(connection), 401);
    await writeFile(join(folder, "token"), "right");
    assert.equal(await statusOf(connection), 200);
  });

  for (const text of ["", "-----BEGIN CERTIFICATE-----\nMIIB", "rubbish"]) {
    test(`fail retryably and heal when the authority is ${JSON.stringify(text)} for a while`, async () => {
      const clock = new FakeClock();
      await writeFile(join(folder, "ca.crt"), text);
      using connection = await inCluster(clock);

      await assert.rejects(statusOf(connection), (error: AppError) => {
        assert.equal(error.code, "kubernetes_unavailable");
        return true;
      });
      await writeFile(join(folder, "ca.crt"), authority.cert);
      await clock.advance(10_000);

      assert.equal(await statusOf(connection), 200);
    });
  }

  const files: { name: string; change: (text: string) => string; says: RegExp }[] = [
    { name: "nothing", change: () => "", says: /current-context is not set/ },
    { name: "half of it", change: (text) => text.slice(0, 100), says: /it is not YAML/ },
    { name: "no YAML", change: () => "{{ secret-text", says: /it is not YAML/ },
    { name: "a list", change: () => "[]", says: /current-context is not set/ },
    {
      name: "an unknown context",
      change: (text) => text.replace('"current-context":"x"', '"current-context":"y"'),
      says: /contexts has no "y"/,
    },
    {
      name: "an unknown cluster",
      change: (text) => text.replace('"cluster":"c"', '"cluster":"d"'),
      says: /clusters has no "d"/,
    },
    {
      name: "a server that is no URL",
      change: (text) => text.replace(/https:\/\/[^"]*/, "nowhere"),
      says: /not an http or https URL/,
    },
    {
      name: "a plugin for credentials",
      change: (text) => text.replace('"tokenFile":"token"', '"exec":{"command":"aws"}'),
      says: /plugin "exec", which Rolecall does not run/,
    },
    {
      name: "a token file that is not there",
      change: (text) => text.replace('"token"}', '"nope"}'),
      says: /Cannot read .*nope/,
    },
    {
      name: "references that grow without end",
      change: () => `a: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]\n`,
      says: /it is not YAML/,
    },
  ];
  for (const { name, change, says } of files) {
    test(`are refused for a kubeconfig file with ${name}, which is named and not quoted`, async () => {
      await assert.rejects(fromFile(change), (error: AppError) => {
        assert.equal(error.code, "invalid_settings");
        assert.match(error.message, says);
        assert.ok(error.message.includes(folder), error.message);
        assert.doesNotMatch(error.message, /secret-text/);
        return true;
      });
    });
  }

  test("are refused for a kubeconfig file that is not there", async () => {
    const path = join(folder, "nope");
    const message = `Cannot read ${path}`;
    const absent = kubeconfigConnection(path, { clock: new FakeClock() });
    await assert.rejects(absent, { code: "invalid_settings", message });
  });
});
