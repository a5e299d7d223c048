import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { freePort, startRolecall, type Started, untilReady } from "#apps/demo/processes.ts";
import { type ApiServer, startApiServer } from "#test/api-server.ts";
import { createAuthority, writeTlsFolder } from "#test/certificates.ts";
import { send } from "#test/metadata-endpoint.ts";
import { kubernetesNamespace, kubernetesPod } from "#test/pods.ts";
import { startSts } from "#test/sts.ts";

const LIST = "/latest/meta-data/iam/security-credentials/";
const POD = "127.0.0.2";

/** Where Kiam's manifests run, Rolecall is started with nothing in them changed but addresses. */
describe("in the place of Kiam", { timeout: 90_000 }, () => {
  const resources = new AsyncDisposableStack();
  let api: ApiServer;
  let tls: readonly string[];
  let strangers: readonly string[];
  let kubeconfig: string;
  let environment: Record<string, string>;
  let server: Started | undefined;
  let [rpc, metadata] = [0, 0];

  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), "rolecall-kiam-"));
    resources.defer(() => rm(folder, { recursive: true, force: true }));
    api = resources.use(await startApiServer());
    const sts = resources.use(
      await startSts({ baseKeys: { AKIADEMOSERVER: "demo-server-secret" } }),
    );
    environment = { AWS_ENDPOINT_URL_STS: sts.url, ROLECALL_PROGRAM: "kiam", HOST_IP: "127.0.0.1" };
    const certificates = async (name: string): Promise<readonly string[]> => {
      const authority = await createAuthority(name);
      // As Kiam's own recipe makes them.
      const pair = await authority.issue({ names: ["localhost"], addresses: ["127.0.0.1"] });
      const files = await writeTlsFolder(join(folder, name), { ...pair, ca: [authority.cert] });
      return [`--cert=${files.cert}`, `--key=${files.key}`, `--ca=${files.ca}`];
    };
    [tls, strangers] = [await certificates("kiam"), await certificates("stranger")];
    kubeconfig = join(folder, "kubeconfig");
    await writeFile(
      kubeconfig,
      `{clusters: [{name: c, cluster: {server: "${api.url}"}}], contexts: [{name: c, context: {cluster: c}}], current-context: c}`,
    );
    [rpc, metadata] = [await freePort(), await freePort()];
  });
  after(() => resources.disposeAsync());

  /** The probe of Kiam's chart and manifests. */
  async function probe(
    timeout = "5s",
    files = tls,
  ): Promise<{ code: number | null; said: string }> {
    const health = startRolecall(
      [
        "health",
        ...files,
        `--server-address=127.0.0.1:${rpc}`,
        "--server-address-refresh=2s",
        `--timeout=${timeout}`,
        "--gateway-timeout-creation=1s",
      ],
      environment,
    );
    return { code: await health.ended, said: health.lines.join("\n") };
  }

  function startServer(): Started {
    return startRolecall(
      [
        "server",
        "--json-log",
        "--level=info",
        `--bind=127.0.0.1:${rpc}`,
        ...tls,
        "--role-base-arn-autodetect",
        "--session-duration=15m",
        "--sync=1m",
        "--prometheus-listen-addr=127.0.0.1:0",
        "--prometheus-sync-interval=5s",
        "--grpc-keepalive-time-duration=10s",
        "--grpc-keepalive-timeout-duration=2s",
        "--grpc-max-connection-idle-duration=15m",
        "--grpc-max-connection-age-duration=15m",
        "--grpc-max-connection-age-grace-duration=15m",
        `--kubeconfig=${kubeconfig}`,
      ],
      environment,
    );
  }

  function startAgent(): Started {
    return startRolecall(
      [
        "agent",
        "--no-iptables-remove",
        "--host-interface=cali+",
        "--json-log",
        "--level=info",
        `--port=${metadata}`,
        ...tls,
        `--server-address=localhost:${rpc}`,
        "--prometheus-listen-addr=127.0.0.1:0",
        "--prometheus-sync-interval=5s",
        "--allow-route-regexp=^$",
        "--gateway-timeout-creation=1s",
        "--grpc-keepalive-time-duration=10s",
        "--grpc-keepalive-timeout-duration=2s",
        "--grpc-keepalive-permit-without-stream",
        // Nothing of a test may ask a real one.
        "--metadata-endpoint=http://127.0.0.1:9",
      ],
      environment,
    );
  }

  test("its probe fails while there is no server, and says why", async () => {
    const { code, said } = await probe("2s");
    assert.equal(code, 1);
    assert.match(said, /error checking health.*ECONNREFUSED/);
  });

  test("its probe fails while the server has not seen the cluster, and says why", async () => {
    await api.stop();
    server = resources.use(startServer());
    // It tries for its whole time, so the server need not be up when it begins.
    let last = { code: 0 as number | null, said: "" };
    do last = await probe("2s");
    while (/ECONNREFUSED/.test(last.said.split("\n").at(-1) ?? ""));

    assert.equal(last.code, 1);
    assert.match(last.said, /pods have not been listed yet/);
  });

  test("its probe succeeds when the server has", async () => {
    await api.start();
    // A watch is tried again within half a minute of its last failure.
    const { code, said } = await probe("60s");
    assert.equal(code, 0, said);
    assert.match(said, /healthy: ok/);
  });

  test("its probe does not trust a server of another authority, and says so", async () => {
    const { code, said } = await probe("2s", strangers);
    assert.equal(code, 1);
    assert.match(said, /unable to|self.signed|certificate/i);
  });

  test("its agent serves a pod, and a token lives on when the agent is replaced", async () => {
    api.putNamespace(
      kubernetesNamespace({
        name: "shop",
        annotations: { "iam.amazonaws.com/permitted": ".*cart-reader" },
      }),
    );
    api.putPod(
      kubernetesPod({
        namespace: "shop",
        name: "cart",
        addresses: [POD],
        annotations: { "iam.amazonaws.com/role": "cart-reader" },
      }),
    );
    const headers: Record<string, string> = {};
    const get = (path: string) => send(metadata, path, { localAddress: POD, headers });
    {
      await using agent = startAgent();
      await untilReady(`http://127.0.0.1:${metadata}/health?deep=1`, 30_000);
      const put = { method: "PUT", headers: { "x-aws-ec2-metadata-token-ttl-seconds": "600" } };
      const token = await send(metadata, "/latest/api/token", { ...put, localAddress: POD });
      headers["x-aws-ec2-metadata-token"] = token.body;

      assert.deepEqual([(await get(LIST)).body], ["cart-reader"]);
      const { body } = await get(`${LIST}cart-reader`);
      const { Code, Expiration } = JSON.parse(body) as Record<string, string>;
      assert.equal(Code, "Success");
      assert.ok(Date.parse(Expiration ?? "") > Date.now());
      assert.doesNotMatch(agent.lines.join("\n"), /"level":"error"|fatal/);
    }
    await using agent = startAgent();
    await untilReady(`http://127.0.0.1:${metadata}/health?deep=1`, 30_000);

    assert.equal((await get(LIST)).status, 200);
    headers["x-aws-ec2-metadata-token"] += "0";
    assert.equal((await get(LIST)).status, 401);
    assert.doesNotMatch(agent.lines.join("\n"), /fatal/);
  });

  test("its server ends with 0 when it is told to, without a wait", async () => {
    const started = performance.now();
    await server?.stop();
    assert.equal(await server?.ended, 0);
    // After five seconds it would have been killed.
    assert.ok(performance.now() - started < 5_000);
  });
});
