import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fromHttp } from "@aws-sdk/credential-providers";
import type { FeedChange } from "#core/feed/feed-messages.ts";
import { NodeTable } from "#core/feed/node-table.ts";
import { PodTable } from "#core/feed/pod-table.ts";
import { PodTokens } from "#core/token/pod-tokens.ts";
import { jwkVerifier } from "#edges/crypto/jwk-verifier.ts";
import { serveHttp } from "#edges/http/server.ts";
import { createLog } from "#runtime/log.ts";
import { createMetrics } from "#runtime/metrics.ts";
import { FakeClock, settle } from "#test/fake-clock.ts";
import { fedCredentials, fedPod, feed, granted } from "#test/fed-pod.ts";
import { send } from "#test/metadata-endpoint.ts";
import { ISSUER, podClaims, published, signingKey, signToken } from "#test/token-issuer.ts";
import { agentReport } from "./agent-report.ts";
import { containerEndpoint } from "./container-endpoint.ts";
import { endpoints } from "./endpoints.ts";

const KEY = signingKey();
const PATH = "/v1/credentials";
const READER = granted("reader", 1);

async function setUp() {
  const clock = new FakeClock();
  const table = new PodTable();
  const lines: string[] = [];
  const metrics = createMetrics();
  const unused = (): never => assert.fail("no address plays a part");
  const log = createLog({ json: true, level: "debug", write: (line) => lines.push(line) > 0 });
  const listener = await serveHttp({
    port: 0,
    host: "127.0.0.1",
    clock: new FakeClock(),
    handler: endpoints({
      container: containerEndpoint({
        pods: table,
        tokens: new PodTokens({
          clock,
          node: "node-a",
          keys: () => table.tokenKeys,
          importKey: jwkVerifier,
          digest: (text) => createHash("sha256").update(text).digest("base64"),
        }),
        table: new NodeTable({
          pods: table,
          isInSync: () => true,
          places: { ownerOf: unused, compare: unused, confirm: unused },
          server: { role: unused, credentials: unused },
          asked: { role: unused, credentials: unused, leaveTo: unused },
          clock,
        }),
        observe: agentReport(log, metrics).containerAnswered,
      }),
      metadata: () => ({ status: 200, headers: {}, body: "metadata" }),
    }),
  });
  const issued = (accessKeyId: string): FeedChange => ({
    type: "session",
    id: 1,
    session: {
      outcome: "issued",
      credentials: fedCredentials(accessKeyId, clock.now() + 3_600_000),
    },
  });
  const tokenKeys = { issuer: ISSUER, audiences: ["rolecall"], keys: published([KEY]) };
  feed(table, [
    { type: "token-keys", tokenKeys },
    { type: "pod", pod: fedPod(READER) },
    issued("ASIA1"),
  ]);
  const { port } = listener;
  return {
    clock,
    table,
    lines,
    metrics,
    port,
    feed: (...changes: FeedChange[]) => feed(table, changes),
    issued,
    token: (changes = {}) => signToken(KEY, podClaims(clock.now(), changes)),
    ask: (authorization?: string, path = PATH, method = "GET") =>
      send(port, path, { method, headers: authorization === undefined ? {} : { authorization } }),
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  };
}

const code = (body: string): unknown => (JSON.parse(body) as { code: unknown }).code;

describe("containerEndpoint", { timeout: 30_000 }, () => {
  test("answers as AWS's agents do", async () => {
    await using world = await setUp();
    const { status, headers, body } = await world.ask(world.token());

    assert.equal(status, 200);
    assert.equal(headers["content-type"], "application/json");
    assert.equal(headers["cache-control"], "no-store");
    assert.deepEqual(JSON.parse(body), {
      AccessKeyId: "ASIA1",
      SecretAccessKey: "secret",
      Token: "token",
      Expiration: "2026-01-01T01:00:00Z",
      AccountId: "123456789012",
      RoleArn: "arn:aws:iam::123456789012:role/reader",
    });
  });

  test("takes the token bare and as a bearer's, and the path with a trailing slash", async () => {
    await using world = await setUp();
    const token = world.token();
    const asked = [
      await world.ask(token),
      await world.ask(`Bearer ${token}`),
      await world.ask(`bearer  ${token}`),
      await world.ask(token, `${PATH}/`),
      await world.ask(token, `${PATH}?a=b`),
      await world.ask(token, `http://169.254.170.23${PATH}`),
    ];
    assert.deepEqual(
      asked.map(({ status }) => status),
      asked.map(() => 200),
    );
    const head = await world.ask(token, PATH, "HEAD");
    assert.deepEqual([head.status, head.body], [200, ""]);
    assert.equal((await world.ask(token, PATH, "POST")).status, 405);
  });

  test("leaves every other path to the metadata endpoint", async () => {
    await using world = await setUp();
    for (const path of [
      "/",
      "/v1/credentialsx",
      "/v1/credentials/role",
      "/latest/v1/credentials",
    ]) {
      assert.equal((await world.ask(world.token(), path)).body, "metadata");
    }
  });

  test("refuses whoever has no token, in both spellings that SDKs read", async () => {
    await using world = await setUp();
    for (const authorization of [undefined, "", "Bearer "]) {
      const { status, headers, body } = await world.ask(authorization);
      const message = "The request carries no token.";
      assert.equal(status, 401);
      assert.equal(headers["retry-after"], undefined);
      assert.deepEqual(JSON.parse(body), {
        code: "token_invalid",
        message,
        Code: "token_invalid",
        Message: message,
      });
    }
  });

  test("gives a pod its own credentials on a host network that it shares", async () => {
    await using world = await setUp();
    const shared = { hostNetwork: true, addresses: ["127.0.0.1"] };
    const second = fedPod({ uid: "uid-2", ...shared });
    world.feed(
      { type: "pod", pod: fedPod({ ...READER, ...shared }) },
      { type: "pod", pod: second },
    );

    assert.equal((await world.ask(world.token())).status, 200);
    const bound = { "kubernetes.io": { pod: { uid: "uid-2" } } };
    const { status, body } = await world.ask(world.token(bound));
    assert.deepEqual([status, code(body)], [404, "no_role"]);
  });

  test("refuses a token that comes from another pod's own address", async () => {
    await using world = await setUp();
    const thief = fedPod({ uid: "uid-2", name: "thief", addresses: ["127.0.0.1"] });
    world.feed({ type: "pod", pod: thief });
    const { status, body } = await world.ask(world.token());
    assert.deepEqual([status, code(body)], [500, "pod_ambiguous"]);

    // The address may have been its own all along: Kubernetes is late to say so.
    world.feed({ type: "pod", pod: fedPod({ ...READER, addresses: [] }) });
    assert.equal((await world.ask(world.token())).status, 200);
  });

  test("refuses a token after its pod is gone, so that the client tries again", async () => {
    await using world = await setUp();
    const token = world.token();
    assert.equal((await world.ask(token)).status, 200);

    world.feed({ type: "pod-gone", uid: "uid-1" });
    const asked = world.ask(token);
    while (world.clock.sleeping === 0) await settle();
    await world.clock.advance(400);
    const { status, headers, body } = await asked;
    assert.deepEqual([status, headers["retry-after"], code(body)], [500, "1", "pod_not_found"]);
  });

  test("says 403, and not 200 without keys, when STS refuses the role", async () => {
    await using world = await setUp();
    const session = { outcome: "failed", code: "sts_denied", reason: "not authorized" } as const;
    world.feed({ type: "session", id: 1, session });
    const { status, body } = await world.ask(world.token());
    assert.deepEqual([status, code(body)], [403, "sts_denied"]);
  });

  test("a real SDK gets credentials, and gets new ones with the token that the kubelet rotated", async () => {
    await using world = await setUp();
    const folder = await mkdtemp(join(tmpdir(), "rolecall-token-"));
    try {
      const file = join(folder, "token");
      await writeFile(file, world.token());
      const provide = fromHttp({
        awsContainerCredentialsFullUri: `http://127.0.0.1:${world.port}${PATH}`,
        awsContainerAuthorizationTokenFile: file,
        maxRetries: 0,
      });
      const first = await provide();
      assert.equal(first.accessKeyId, "ASIA1");
      assert.equal(first.sessionToken, "token");
      assert.equal(first.expiration?.getTime(), world.clock.now() + 3_600_000);

      // Two hours later the first token is over.
      await world.clock.advance(7_200_000);
      world.feed(world.issued("ASIA2"));
      await assert.rejects(provide(), { Code: "token_expired", Message: "The token has expired." });
      await writeFile(file, world.token());
      assert.equal((await provide()).accessKeyId, "ASIA2");
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("tells whose request it was and how it ended, and nothing of the token", async () => {
    await using world = await setUp();
    const token = world.token();
    const foreign = world.token({ aud: ["sts.amazonaws.com"] });
    await world.ask(token);
    await world.ask(`Bearer ${foreign}`);
    await world.ask(token.slice(0, -4));

    const [served, refused] = world.lines.map(
      (line) => JSON.parse(line) as Record<string, unknown>,
    );
    assert.equal(served?.["pod"], "shop/cart");
    assert.equal(refused?.["pod"], undefined);
    const told = world.lines.join("") + world.metrics.expose().text;
    assert.match(told, /rolecall_container_responses_total\{code="401",reason="token_invalid"\} 2/);
    for (const part of [...token.split("."), ...foreign.split(".")]) {
      assert.ok(!told.includes(part.slice(0, 40)));
    }
    assert.doesNotMatch(told, /ASIA1|secret/);
  });

  test("answers nothing before keys came", async () => {
    await using world = await setUp();
    world.table.clear();
    const { status, headers, body } = await world.ask(world.token());
    assert.deepEqual([status, headers["retry-after"], code(body)], [500, "1", "not_ready"]);
  });
});
