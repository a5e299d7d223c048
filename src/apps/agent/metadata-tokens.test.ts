import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  CREDENTIALS,
  type EndpointWorld,
  ROLE,
  type Reply,
  type RequestOptions,
  SKIP_IPV6,
  WAYS_IN,
  send,
  serveEndpoint,
} from "#test/metadata-endpoint.ts";

const UNKNOWN = { uid: undefined, requireImdsv2: undefined, roleArn: undefined };
const LIST = "/latest/meta-data/iam/security-credentials";
const TTL = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN = "x-aws-ec2-metadata-token";
const ISSUE = "/latest/api/token";
const put = (ttl: string): RequestOptions => ({ method: "PUT", headers: { [TTL]: ttl } });
const shown = (token: string): RequestOptions => ({ headers: { [TOKEN]: token } });

for (const { host, skip } of WAYS_IN) {
  describe(`session tokens, asked for over ${host}`, { timeout: 20_000, skip }, () => {
    let world: EndpointWorld;
    before(async () => {
      world = await serveEndpoint({ host });
    });
    after(() => world[Symbol.asyncDispose]());
    const ask = (path: string, options: RequestOptions = {}): Promise<Reply> =>
      send(world.port, path, { host, ...options });

    test("live as long as they were asked for", async () => {
      const { status, headers, body: token } = await ask(ISSUE, put("60"));
      assert.deepEqual([status, headers[TTL]], [200, "60"]);

      assert.equal((await ask(`${LIST}/`, shown(token))).status, 200);
      await world.clock.advance(60_000);
      assert.equal((await ask(`${LIST}/`, shown(token))).status, 401);
    });

    for (const path of ["/latest/api/token/", "/2021-07-15/api/token", "//latest/api/token"]) {
      test(`issues a token at ${path} for the longest life there is`, async () => {
        const put = await ask(path, { method: "PUT", headers: { [TTL]: "21600" } });
        assert.deepEqual([put.status, put.headers[TTL]], [200, "21600"]);
        assert.equal(put.headers["content-type"], "text/plain");
      });
    }

    test("refuses a token to a request that names no life, and to every method but PUT", async () => {
      assert.equal((await ask("/latest/api/token", { method: "PUT" })).status, 400);
      for (const method of ["GET", "POST", "HEAD", "DELETE"]) {
        const headers = { [TTL]: "60" };
        const reply = await ask("/latest/api/token", { method, headers });
        assert.deepEqual([reply.status, reply.headers.allow], [405, "PUT"]);
      }
    });

    test("refuses a token that nobody issued wherever it is shown, and asks nobody", async () => {
      world.asked.length = 0;
      world.addresses.length = 0;
      for (const path of [`${LIST}/`, `${LIST}/path/my-role`, "/latest/meta-data/instance-id"]) {
        for (const token of ["", "x", "a.b", "0.0", "zzzzzzzzzzz.0", "x".repeat(5_000)]) {
          const reply = await ask(path, { headers: { [TOKEN]: token } });
          assert.equal(reply.status, 401, `${path} ${token}`);
        }
      }
      assert.deepEqual([world.asked, world.addresses], [[], []]);
    });

    for (const ttl of ["0", "21601", "x", "", "-1", "1.5", " ", "60 60", "1e3", "0x10"]) {
      test(`refuses a token for ${ttl || "nothing"} seconds`, async () => {
        const headers = { [TTL]: ttl };
        const reply = await ask("/latest/api/token", { method: "PUT", headers });
        assert.equal(reply.status, 400);
      });
    }

    for (const name of ["x-forwarded-for", "X-FORWARDED-FOR", "Forwarded"]) {
      for (const value of ["10.0.0.1", ""]) {
        test(`refuses a token to what was forwarded, said by ${name}: ${value || "nothing"}`, async () => {
          const headers = { [TTL]: "60", [name]: value };
          const reply = await ask("/latest/api/token", { method: "PUT", headers });
          assert.equal(reply.status, 403);
        });
      }
    }

    test("are taken however the headers are spelled, and not from two of a kind", async () => {
      const issued = await ask(ISSUE, { method: "PUT", headers: { [TTL.toUpperCase()]: " 60 " } });
      assert.equal(issued.status, 200);
      const twice = [issued.body, issued.body];
      const spelled = { "X-aws-EC2-metadata-Token": issued.body };
      assert.equal((await ask(`${LIST}/`, { headers: spelled })).status, 200);
      assert.equal((await ask(`${LIST}/`, { headers: { [TOKEN]: twice } })).status, 401);
      const lives = { method: "PUT", headers: { [TTL]: ["60", "60"] } };
      assert.equal((await ask(ISSUE, lives)).status, 400);
    });

    test("are refused to the next pod at the address", async () => {
      const known = world.pod;
      const { body: token } = await ask(ISSUE, put("60"));
      world.pod = { ...known, uid: "uid-2" };
      const refused = await ask(`${LIST}/`, shown(token));
      world.pod = known;
      assert.equal(refused.status, 401);
      assert.equal((await ask(`${LIST}/`, shown(token))).status, 200);
    });

    test("are issued to a pod that is not known yet, and serve it once it is", async () => {
      const known = world.pod;
      world.pod = UNKNOWN;
      const { status, headers, body: token } = await ask(ISSUE, put("21600"));
      assert.deepEqual([status, headers[TTL]], [200, "21600"]);
      assert.equal((await ask(`${LIST}/`, shown(token))).status, 200);
      world.pod = known;
      assert.equal((await ask(`${LIST}/`, shown(token))).status, 200);
    });
  });
}

describe("a session token", { timeout: 10_000 }, () => {
  test("is refused at another address", async () => {
    await using world = await serveEndpoint();
    const { body: token } = await send(world.port, ISSUE, put("60"));
    for (const [localAddress, status] of [
      ["127.0.0.1", 200],
      ["127.0.0.2", 401],
    ] as const) {
      const reply = await send(world.port, `${LIST}/`, { ...shown(token), localAddress });
      assert.equal(reply.status, status);
    }
  });

  test("of IPv4 is refused over IPv6, and the other way round", { skip: SKIP_IPV6 }, async () => {
    await using world = await serveEndpoint({ host: "::" });
    for (const [here, there] of [
      ["127.0.0.1", "::1"],
      ["::1", "127.0.0.1"],
    ] as const) {
      const { body: token } = await send(world.port, ISSUE, { host: here, ...put("60") });
      for (const [host, status] of [
        [here, 200],
        [there, 401],
      ] as const) {
        assert.equal(
          (await send(world.port, `${LIST}/`, { host, ...shown(token) })).status,
          status,
        );
      }
    }
  });
});

describe("the metadata endpoint that requires IMDSv2", { timeout: 10_000 }, () => {
  test("refuses what has no token, pings and health checks excepted", async () => {
    await using world = await serveEndpoint({ requireImdsv2: true });
    const { body: token } = await send(world.port, ISSUE, put("60"));
    for (const path of [`${LIST}/`, `${LIST}/path/my-role`, "/latest/meta-data/instance-id"]) {
      assert.equal((await send(world.port, path)).status, 401);
      assert.equal((await send(world.port, path, shown(token))).status, 200);
    }
    assert.equal((await send(world.port, "/ping")).status, 200);
    assert.equal((await send(world.port, "/health?deep=1")).status, 200);
  });
});

describe("the metadata endpoint of a namespace that requires IMDSv2", { timeout: 10_000 }, () => {
  const own = [
    `${LIST}/`,
    `${LIST}/path/my-role`,
    "/latest/meta-data/iam/info",
    "/latest/meta-data/iam/security-credentials-extended/path/my-role",
    "/latest/meta-data/placement/region",
  ];
  for (const kiamCompatible of [false, true]) {
    const like = kiamCompatible ? "Kiam" : "AWS";
    test(`refuses its pods what has no token, and no others, when it answers as ${like}`, async () => {
      await using world = await serveEndpoint({ kiamCompatible });
      const open = world.pod;
      world.pod = { ...open, requireImdsv2: true };
      const { body: token } = await send(world.port, ISSUE, put("60"));
      for (const path of own) {
        assert.equal((await send(world.port, path)).status, 401, path);
        const forged = await send(world.port, path, shown(`${token}0`));
        assert.equal(forged.status, 401, path);
      }
      assert.deepEqual([world.asked, world.addresses], [[], []]);
      assert.equal((await send(world.port, `${LIST}/`, shown(token))).status, 200);
      assert.equal((await send(world.port, "/ping")).status, 200);
      world.pod = open;
      assert.equal((await send(world.port, `${LIST}/`)).status, 200);
    });

    test(`gives nothing to a pod that turns out to need one, when it answers as ${like}`, async () => {
      await using world = await serveEndpoint({ kiamCompatible });
      const known = { ...world.pod, requireImdsv2: true };
      const { body: token } = await send(world.port, ISSUE, put("60"));
      // While its answer is waited for, it becomes known whose the address is.
      Object.defineProperty(world, "role", { get: () => ((world.pod = known), ROLE) });
      Object.defineProperty(world, "credentials", {
        get: () => ((world.pod = known), CREDENTIALS),
      });
      for (const path of [`${LIST}/`, `${LIST}/path/my-role`]) {
        world.pod = UNKNOWN;
        const refused = await send(world.port, path);
        assert.deepEqual(
          [refused.status, refused.body.trim()],
          [401, kiamCompatible ? "Unauthorized" : ""],
        );
        world.pod = UNKNOWN;
        assert.equal((await send(world.port, path, shown(token))).status, 200);
      }
    });

    test(`goes by the flag while the pod is not known, when it answers as ${like}`, async () => {
      for (const requireImdsv2 of [false, true]) {
        await using world = await serveEndpoint({ kiamCompatible, requireImdsv2 });
        world.pod = UNKNOWN;
        const { status } = await send(world.port, `${LIST}/`);
        assert.equal(status, requireImdsv2 ? 401 : 200);
      }
    });
  }
});
