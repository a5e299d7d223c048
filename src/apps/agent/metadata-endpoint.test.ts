import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { networkInterfaces } from "node:os";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { AppError } from "#core/errors.ts";
import {
  CREDENTIALS,
  CREDENTIALS_JSON,
  type EndpointWorld,
  LEAKS,
  type Reply,
  send,
  serveEndpoint,
} from "#test/metadata-endpoint.ts";

const LIST = "/latest/meta-data/iam/security-credentials";
const TTL = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN = "x-aws-ec2-metadata-token";

describe("the metadata endpoint", { timeout: 20_000 }, () => {
  let world: EndpointWorld;
  before(async () => {
    world = await serveEndpoint();
  });
  after(() => world[Symbol.asyncDispose]());

  for (const path of [LIST, `${LIST}/`, "/2016-09-02/meta-data/iam/security-credentials/"]) {
    test(`names the role at ${path}, without a newline and without a redirect`, async () => {
      const { status, body, headers } = await send(world.port, path);
      assert.deepEqual([status, body], [200, "path/my-role"]);
      assert.equal(headers["server"], "EC2ws");
    });
  }

  for (const path of [`${LIST}/path/my-role`, `${LIST}/path/my-role/`, `${LIST}//path%2Fmy-role`]) {
    test(`gives credentials at ${path}, one line as Kiam writes it`, async () => {
      const { status, body } = await send(world.port, path);
      assert.equal(status, 200);
      assert.equal(body, CREDENTIALS_JSON);
    });
  }

  test("answers HEAD without a body, and other methods with 405", async () => {
    const head = await send(world.port, `${LIST}/`, { method: "HEAD" });
    assert.deepEqual([head.status, head.body], [200, ""]);
    assert.equal((await send(world.port, `${LIST}/`, { method: "DELETE" })).status, 405);
  });

  const failures = [
    ["no_role", 404],
    ["namespace_forbids", 404],
    ["pod_not_found", 500],
    ["pod_ambiguous", 500],
    ["sts_unavailable", 500],
    ["sts_throttled", 500],
    ["server_unavailable", 500],
  ] as const;
  for (const [code, status] of failures) {
    test(`answers ${code} with ${status}, and says when to come back if that helps`, async () => {
      world.credentials = new AppError(code, "why");
      const reply = await send(world.port, `${LIST}/path/my-role`);
      world.credentials = CREDENTIALS;
      assert.equal(reply.status, status);
      assert.equal(reply.headers["retry-after"], status === 500 ? "1" : undefined);
    });
  }

  test("says as AWS does that STS refuses, so that clients don't retry", async () => {
    world.credentials = new AppError("sts_denied", "AccessDenied: no");
    const { status, body } = await send(world.port, `${LIST}/path/my-role`);
    world.credentials = CREDENTIALS;
    assert.equal(status, 200);
    assert.equal((JSON.parse(body) as { Code: string }).Code, "AssumeRoleUnauthorizedAccess");
    assert.doesNotMatch(body, /AccessKeyId/);
  });

  test("does not list a role whose credentials are refused", async () => {
    world.credentials = new AppError("namespace_forbids", "why");
    assert.equal((await send(world.port, `${LIST}/`)).status, 404);
    world.credentials = CREDENTIALS;
  });

  test("issues tokens that live as long as they were asked for, here and nowhere else", async () => {
    const put = await send(world.port, "/latest/api/token", {
      method: "PUT",
      headers: { [TTL]: "60" },
    });
    assert.deepEqual([put.status, put.headers[TTL]], [200, "60"]);
    const withToken = (token: string, localAddress = "127.0.0.1"): Promise<Reply> =>
      send(world.port, `${LIST}/`, { headers: { [TOKEN]: token }, localAddress });

    assert.equal((await withToken(put.body)).status, 200);
    assert.equal((await withToken(`${put.body}0`)).status, 401);
    assert.equal((await withToken(put.body, "127.0.0.2")).status, 401);
    await world.clock.advance(60_000);
    assert.equal((await withToken(put.body)).status, 401);
  });

  for (const path of ["/latest/api/token/", "/2021-07-15/api/token", "//latest/api/token"]) {
    test(`issues a token at ${path} for the longest life there is`, async () => {
      const put = await send(world.port, path, { method: "PUT", headers: { [TTL]: "21600" } });
      assert.deepEqual([put.status, put.headers[TTL]], [200, "21600"]);
      assert.equal(put.headers["content-type"], "text/plain");
    });
  }

  test("refuses a token to a request that names no life, and to every method but PUT", async () => {
    assert.equal((await send(world.port, "/latest/api/token", { method: "PUT" })).status, 400);
    for (const method of ["GET", "POST", "HEAD", "DELETE"]) {
      const headers = { [TTL]: "60" };
      const reply = await send(world.port, "/latest/api/token", { method, headers });
      assert.deepEqual([reply.status, reply.headers.allow], [405, "PUT"]);
    }
  });

  test("refuses a token that nobody issued wherever it is shown, and asks nobody", async () => {
    world.asked.length = 0;
    world.addresses.length = 0;
    for (const path of [`${LIST}/`, `${LIST}/path/my-role`, "/latest/meta-data/instance-id"]) {
      for (const token of ["", "x", "a.b", "0.0", "zzzzzzzzzzz.0", "x".repeat(5_000)]) {
        const reply = await send(world.port, path, { headers: { [TOKEN]: token } });
        assert.equal(reply.status, 401, `${path} ${token}`);
      }
    }
    assert.deepEqual([world.asked, world.addresses], [[], []]);
  });

  for (const ttl of ["0", "21601", "x", "", "-1", "1.5", " ", "60 60", "1e3", "0x10"]) {
    test(`refuses a token for ${ttl || "nothing"} seconds`, async () => {
      const headers = { [TTL]: ttl };
      const reply = await send(world.port, "/latest/api/token", { method: "PUT", headers });
      assert.equal(reply.status, 400);
    });
  }

  test("refuses a token to what was forwarded", async () => {
    const headers = { [TTL]: "60", "x-forwarded-for": "10.0.0.1" };
    const reply = await send(world.port, "/latest/api/token", { method: "PUT", headers });
    assert.equal(reply.status, 403);
  });

  for (const path of LEAKS) {
    test(`never asks upstream for ${path}, although everything is allowed`, async () => {
      world.asked.length = 0;
      await send(world.port, path);
      assert.deepEqual(world.asked, []);
    });
  }

  test("asks upstream for what is allowed, by its normalised path", async () => {
    world.asked.length = 0;
    const { body } = await send(world.port, "/latest//meta-data/./placement/region");
    assert.equal(body, "upstream");
    assert.deepEqual(world.asked, ["/latest/meta-data/placement/region"]);
  });

  test("is alive by itself, and says with deep what a server says", async () => {
    world.server = new AppError("server_unavailable", "No server answered within 900 ms");
    const shallow = await send(world.port, "/health");
    const deep = await send(world.port, "/health?deep=1");
    world.server = "ok";

    assert.deepEqual([shallow.status, shallow.body], [200, "ok"]);
    assert.deepEqual([deep.status, deep.body], [500, "No server answered within 900 ms"]);
    const healed = await send(world.port, "/health?deep=1");
    assert.deepEqual([healed.status, healed.body], [200, "ok"]);
    assert.equal((await send(world.port, "/health/?deep=")).status, 200);
  });

  for (const method of ["GET", "HEAD", "PUT", "POST"]) {
    test(`answers /ping and /ping/ to ${method}`, async () => {
      for (const path of ["/ping", "/ping/"]) {
        const { status, body } = await send(world.port, path, { method });
        assert.deepEqual([status, body], [200, method === "HEAD" ? "" : "pong"]);
      }
    });
  }

  for (const method of ["POST", "PUT", "PATCH", "OPTIONS", "TRACE", "PROPFIND"]) {
    test(`tells ${method} which methods there are, and asks nobody`, async () => {
      world.asked.length = 0;
      world.addresses.length = 0;
      for (const path of [`${LIST}/`, `${LIST}/path/my-role`, "/latest/meta-data/instance-id"]) {
        const { status, headers } = await send(world.port, path, { method });
        assert.deepEqual([status, headers.allow], [405, "GET, HEAD"]);
      }
      assert.deepEqual([world.asked, world.addresses], [[], []]);
    });
  }

  test("believes neither the query nor a header that names an address", async () => {
    world.addresses.length = 0;
    const headers = {
      "x-forwarded-for": "10.0.0.9",
      forwarded: "for=10.0.0.9",
      "x-real-ip": "10.0.0.9",
    };
    await send(world.port, `${LIST}/?ip=10.0.0.9`, { headers });
    assert.deepEqual([...new Set(world.addresses)], ["127.0.0.1"]);
  });

  test("never redirects and never crashes, whatever the path", async () => {
    const words =
      "/ // . .. latest meta-data iam security-credentials %2f % %00 path my-role ? # : http:// api token";
    const part = fc.constantFrom(...words.split(" "));
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 8 }), async (parts) => {
        const { status } = await send(world.port, `/${parts.join("")}`);
        assert.ok([200, 400, 404, 405].includes(status), `${status}`);
      }),
    );
  });
});

describe("the metadata endpoint that requires IMDSv2", { timeout: 10_000 }, () => {
  test("refuses what has no token, pings and health checks excepted", async () => {
    await using world = await serveEndpoint({ requireImdsv2: true });
    const put = await send(world.port, "/latest/api/token", {
      method: "PUT",
      headers: { [TTL]: "60" },
    });
    for (const path of [`${LIST}/`, `${LIST}/path/my-role`, "/latest/meta-data/instance-id"]) {
      assert.equal((await send(world.port, path)).status, 401);
      const headers = { [TOKEN]: put.body };
      assert.equal((await send(world.port, path, { headers })).status, 200);
    }
    assert.equal((await send(world.port, "/ping")).status, 200);
    assert.equal((await send(world.port, "/health?deep=1")).status, 200);
  });
});

describe("whose request it is", { timeout: 10_000 }, () => {
  test("is the query's word only where that is allowed", async () => {
    await using world = await serveEndpoint({ allowIpQuery: true });
    await send(world.port, `${LIST}/path/my-role?ip=10.0.0.9`);
    await send(world.port, `${LIST}/path/my-role?ip=`);
    assert.deepEqual(world.addresses, ["10.0.0.9", "127.0.0.1"]);
  });

  const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
    all?.some(({ address }) => address === "::1"),
  );
  const skip = hasIpv6 ? false : "this machine has no address ::1";
  test("is one address, with IPv4 and IPv6 on one port", { skip }, async () => {
    await using world = await serveEndpoint({ host: "::" });
    for (const host of ["127.0.0.1", "::1"])
      await send(world.port, `${LIST}/path/my-role`, { host });
    assert.deepEqual(world.addresses, ["127.0.0.1", "::1"]);
  });

  test("does not matter any more when it leaves before the answer", async () => {
    await using world = await serveEndpoint({ kiamCompatible: true });
    world.credentials = new AppError("pod_not_found", "nobody");
    const socket = net.connect(world.port, "127.0.0.1");
    socket.write(`GET ${LIST}/path/my-role HTTP/1.1\r\nHost: a\r\n\r\n`);
    await once(socket, "connect");
    while (world.addresses.length === 0) await world.clock.advance(0);

    socket.destroy();

    while (world.clock.sleeping > 0) await world.clock.advance(0);
    assert.equal((await send(world.port, "/ping")).body, "pong");
    assert.equal(world.events.filter(({ handler }) => handler === "credentials").length, 0);
  });
});
