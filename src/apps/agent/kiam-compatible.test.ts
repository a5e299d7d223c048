import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import {
  CREDENTIALS,
  CREDENTIALS_JSON,
  type EndpointWorld,
  LEAKS,
  type Reply,
  ROLE,
  send,
  serveEndpoint,
} from "#test/metadata-endpoint.ts";

const LIST = "/latest/meta-data/iam/security-credentials";
const TTL = "x-aws-ec2-metadata-token-ttl-seconds";
const TEXT = "text/plain; charset=utf-8";

describe("the endpoint that answers as Kiam", { timeout: 20_000 }, () => {
  let world: EndpointWorld;
  before(async () => {
    world = await serveEndpoint({ kiamCompatible: true });
  });
  after(() => world[Symbol.asyncDispose]());
  beforeEach(() => {
    Object.assign(world, { role: ROLE, credentials: CREDENTIALS, server: "ok", upstream: "i-1" });
    for (const seen of [world.asked, world.addresses, world.clock.pauses]) seen.length = 0;
  });

  /** A request that is tried again and again: time goes by until it is answered. */
  async function patiently(path: string): Promise<Reply> {
    const answered = { is: false };
    const reply = send(world.port, path).finally(() => (answered.is = true));
    while (!answered.is) await world.clock.advance(1);
    return reply;
  }

  /** The pauses of one request that failed for good, in milliseconds. */
  function waited(): number {
    return world.clock.pauses.reduce((sum, ms) => sum + ms, 0);
  }

  for (const method of ["GET", "POST", "PUT", "DELETE"]) {
    test(`gives role and credentials to ${method}`, async () => {
      const role = await send(world.port, `${LIST}/`, { method });
      assert.deepEqual([role.status, role.body], [200, ROLE]);
      assert.equal(role.headers["content-type"], TEXT);
      const given = await send(world.port, `${LIST}/${ROLE}`, { method });
      assert.deepEqual([given.status, given.body], [200, CREDENTIALS_JSON]);
      assert.equal(given.headers["content-type"], TEXT);
      assert.equal(given.headers["server"], undefined);
    });
  }

  test("answers HEAD as GET, without the body", async () => {
    const { status, body, headers } = await send(world.port, `${LIST}/`, { method: "HEAD" });
    assert.deepEqual([status, body, headers["content-length"]], [200, "", String(ROLE.length)]);
  });

  const redirects = [
    { path: LIST, to: `${LIST}/` },
    { path: `${LIST}?a=b`, to: `${LIST}/?a=b` },
    { path: "//latest/x", to: "/latest/x" },
    { path: `${LIST}/a//b?c`, to: `${LIST}/a/b?c` },
    { path: `${LIST}/../x`, to: "/latest/meta-data/iam/x" },
    { path: `${LIST}/%2e%2e/x`, to: "/latest/meta-data/iam/x" },
    { path: "/latest/meta-data/placement%2f..%2fiam", to: "/latest/meta-data/iam" },
  ];
  for (const { path, to } of redirects) {
    test(`redirects ${path} to ${to}`, async () => {
      const { status, headers, body } = await send(world.port, path);
      assert.deepEqual([status, headers.location], [301, to]);
      const isList = path.startsWith(LIST) && to.startsWith(`${LIST}/`) && !path.includes("//");
      assert.equal(body, isList ? `<a href="${to}">Moved Permanently</a>.\n\n` : "");
      assert.deepEqual([world.asked, world.addresses], [[], []]);
    });
  }

  const roles = [
    { code: "no_role", message: "none", status: 404, body: "empty role\n", isAtOnce: true },
    {
      code: "pod_not_found",
      message: "nobody",
      status: 500,
      body: "rpc error: code = Unknown desc = pod not found\n",
    },
    {
      code: "pod_ambiguous",
      message: "two",
      status: 500,
      body: "rpc error: code = Unknown desc = multiple running pods found\n",
    },
    {
      code: "host_network",
      message: "shared",
      status: 500,
      body: "rpc error: code = Unknown desc = multiple running pods found\n",
    },
    {
      code: "server_unavailable",
      message: "No server answered",
      status: 500,
      body: "rpc error: code = Unavailable desc = No server answered\n",
    },
    {
      code: "not_ready",
      message: "pods have not been listed yet",
      status: 500,
      body: "rpc error: code = Unavailable desc = pods have not been listed yet\n",
    },
  ] as const;
  for (const { code, message, status, body, ...when } of roles) {
    const isAtOnce = "isAtOnce" in when;
    test(`says ${JSON.stringify(body)} for ${code}, ${isAtOnce ? "at once" : "after Kiam's tries"}`, async () => {
      world.role = new AppError(code, message);

      const reply = await patiently(`${LIST}/`);

      assert.deepEqual([reply.status, reply.body], [status, body]);
      assert.equal(reply.headers["content-type"], TEXT);
      assert.equal(reply.headers["x-content-type-options"], "nosniff");
      assert.equal(world.addresses.length, isAtOnce ? 1 : 16);
      assert.ok(isAtOnce || (waited() > 3_800 && waited() <= 5_000));
    });
  }

  const prefix = "error fetching credentials: ";
  const credentials = [
    { code: "namespace_forbids", body: "forbidden by policy\n", isAtOnce: true },
    { code: "role_mismatch", body: "forbidden by policy\n", isAtOnce: true },
    { code: "pod_not_found", body: "no pod found\n" },
    {
      code: "pod_ambiguous",
      body: "rpc error: code = Unknown desc = multiple running pods found\n",
    },
    { code: "no_role", body: "rpc error: code = Unknown desc = role can't be empty\n" },
    {
      code: "invalid_expression",
      message: "error parsing regexp: missing closing ): `(`",
      body: "rpc error: code = Unknown desc = error parsing regexp: missing closing ): `(`\n",
    },
    {
      code: "sts_denied",
      message: "AccessDenied: User: a is not authorized",
      body: "rpc error: code = Unknown desc = AccessDenied: User: a is not authorized\n",
    },
    {
      code: "server_unavailable",
      message: "No server answered",
      body: "rpc error: code = Unavailable desc = No server answered\n",
    },
  ] as const;
  for (const { code, body, ...more } of credentials) {
    test(`says ${JSON.stringify(prefix + body)} for ${code}`, async () => {
      world.credentials = new AppError(code, "message" in more ? more.message : "why");

      const reply = await patiently(`${LIST}/${ROLE}`);

      assert.deepEqual([reply.status, reply.body], [500, prefix + body]);
      assert.equal(reply.headers["content-type"], TEXT);
      assert.equal(reply.headers["x-content-type-options"], "nosniff");
      assert.equal(world.addresses.length, "isAtOnce" in more ? 1 : 16);
    });
  }

  test("takes the role literally, a slash at its end included", async () => {
    const reply = await send(world.port, `${LIST}/${ROLE}/`);
    assert.deepEqual([reply.status, reply.body], [500, `${prefix}forbidden by policy\n`]);
  });

  test("answers as soon as a try succeeds", async () => {
    world.credentials = new AppError("pod_not_found", "not yet");
    const reply = patiently(`${LIST}/${ROLE}`);
    while (world.addresses.length < 3) await world.clock.advance(1);
    world.credentials = CREDENTIALS;

    assert.equal((await reply).status, 200);
    assert.equal(world.addresses.length, 4);
  });

  test("makes nobody wait who waits in a crowd already", async () => {
    world.credentials = new AppError("overloaded", "Too many requests of this pod wait already.");
    assert.equal((await patiently(`${LIST}/${ROLE}`)).status, 500);
    assert.equal(world.addresses.length, 1);
  });

  test("says which escape of a query can't be read", async () => {
    const reply = await send(world.port, `${LIST}/?a=%zz`);
    assert.deepEqual([reply.status, reply.body], [500, 'invalid URL escape "%zz"\n']);
  });

  test("is healthy with the node's instance ID", async () => {
    world.server = new AppError("server_unavailable", "away");
    const { status, body, headers } = await send(world.port, "/health");
    assert.deepEqual([status, body, headers["content-type"]], [200, "i-1", TEXT]);
    assert.deepEqual(world.asked, ["/latest/meta-data/instance-id"]);
  });

  test("is not healthy when the node's metadata can't be read", async () => {
    world.upstream = new AppError("server_unavailable", "the metadata service cannot be reached");
    const { status, body } = await send(world.port, "/health");
    const says = "couldn't read metadata response: the metadata service cannot be reached\n";
    assert.deepEqual([status, body], [500, says]);
  });

  test("asks a server too when it is to look deep, as often as Kiam does", async () => {
    assert.equal((await patiently("/health?deep=anything")).body, "i-1");
    world.server = new AppError("server_unavailable", "No server answered");
    world.asked.length = 0;

    const { status, body } = await patiently("/health?deep=1");

    const says = "rpc error: code = Unavailable desc = No server answered\n";
    assert.deepEqual([status, body], [500, says]);
    assert.equal(world.clock.pauses.length, 15);
    assert.deepEqual(world.asked, []);
  });

  test("needs no token, and issues one by the rules of those that the node issues", async () => {
    const put = (headers: Record<string, string>) =>
      send(world.port, "/latest/api/token", { method: "PUT", headers });
    const token = await put({ [TTL]: "60" });

    assert.deepEqual([token.status, token.headers[TTL]], [200, "60"]);
    assert.equal((await put({})).status, 400);
    assert.equal((await put({ [TTL]: "1e300" })).status, 400);
    assert.equal((await put({ [TTL]: "60", "x-forwarded-for": "10.0.0.1" })).status, 403);
    assert.deepEqual(world.asked, []);
  });

  for (const [method, path] of [
    ["GET", "/latest/api/token"],
    ["POST", "/latest/api/token"],
    ["PUT", "/latest/api/token/"],
    ["PUT", "/a/b/api/token"],
  ] as const) {
    test(`blocks ${method} ${path}`, async () => {
      const { status, body } = await send(world.port, path, { method });
      assert.deepEqual(
        [status, body],
        [404, `request blocked by allow-route-regexp ".*": ${path}\n`],
      );
    });
  }

  for (const path of ["/ping/", "/health/", "/latest/meta-data/ami-id"]) {
    test(`reads ${path} as a path of the node's, if that is allowed`, async () => {
      assert.equal((await send(world.port, path)).body, "i-1");
      assert.deepEqual(world.asked, [path]);
    });
  }

  for (const path of LEAKS) {
    test(`never asks upstream for ${path}, although everything is allowed`, async () => {
      await patiently(path);
      assert.deepEqual(world.asked, []);
    });
  }
});

describe("the endpoint that answers as Kiam and allows nothing", { timeout: 10_000 }, () => {
  test("says what it blocked by which expression, and counts it", async () => {
    await using world = await serveEndpoint({
      kiamCompatible: true,
      allow: () => false,
      allowSource: "^$",
    });

    const { status, body } = await send(world.port, "/latest/dynamic/instance%2Didentity");

    const says = 'request blocked by allow-route-regexp "^$": /latest/dynamic/instance-identity\n';
    assert.deepEqual([status, body], [404, says]);
    assert.deepEqual(world.asked, []);
    const [event] = world.events;
    assert.deepEqual([event?.handler, event?.isBlocked, event?.status], ["proxy", true, 404]);
  });
});
