import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { AppError } from "#core/errors.ts";
import {
  CREDENTIALS,
  CREDENTIALS_JSON,
  type EndpointWorld,
  LEAKS,
  type Reply,
  type RequestOptions,
  SKIP_IPV6,
  WAYS_IN,
  send,
  serveEndpoint,
} from "#test/metadata-endpoint.ts";

const LIST = "/latest/meta-data/iam/security-credentials";

for (const { host, skip } of WAYS_IN) {
  describe(`the metadata endpoint over ${host}`, { timeout: 20_000, skip }, () => {
    let world: EndpointWorld;
    before(async () => {
      world = await serveEndpoint({ host });
    });
    after(() => world[Symbol.asyncDispose]());
    const ask = (path: string, options: RequestOptions = {}): Promise<Reply> =>
      send(world.port, path, { host, ...options });

    for (const path of [LIST, `${LIST}/`, "/2016-09-02/meta-data/iam/security-credentials/"]) {
      test(`names the role at ${path}, without a newline and without a redirect`, async () => {
        const { status, body, headers } = await ask(path);
        assert.deepEqual([status, body], [200, "path/my-role"]);
        assert.equal(headers["server"], "EC2ws");
      });
    }

    for (const path of [
      `${LIST}/path/my-role`,
      `${LIST}/path/my-role/`,
      `${LIST}//path%2Fmy-role`,
    ]) {
      test(`gives credentials at ${path}, one line as Kiam writes it`, async () => {
        const { status, body } = await ask(path);
        assert.equal(status, 200);
        assert.equal(body, CREDENTIALS_JSON);
      });
    }

    test("answers HEAD without a body, and other methods with 405", async () => {
      const head = await ask(`${LIST}/`, { method: "HEAD" });
      assert.deepEqual([head.status, head.body], [200, ""]);
      assert.equal((await ask(`${LIST}/`, { method: "DELETE" })).status, 405);
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
        const reply = await ask(`${LIST}/path/my-role`);
        world.credentials = CREDENTIALS;
        assert.equal(reply.status, status);
        assert.equal(reply.headers["retry-after"], status === 500 ? "1" : undefined);
      });
    }

    test("says as AWS does that STS refuses, so that clients don't retry", async () => {
      world.credentials = new AppError("sts_denied", "AccessDenied: no");
      const { status, body } = await ask(`${LIST}/path/my-role`);
      world.credentials = CREDENTIALS;
      assert.equal(status, 200);
      assert.equal((JSON.parse(body) as { Code: string }).Code, "AssumeRoleUnauthorizedAccess");
      assert.doesNotMatch(body, /AccessKeyId/);
    });

    test("does not list a role whose credentials are refused", async () => {
      world.refusal = new AppError("namespace_forbids", "why");
      assert.equal((await ask(`${LIST}/`)).status, 404);
      world.refusal = undefined;
    });

    for (const what of ["security-credentials", "security-credentials-extended"]) {
      const path = `/latest/meta-data/iam/${what}`;
      test(`lists one role at ${what}, and knows no other`, async () => {
        for (const slash of ["", "/"]) {
          assert.equal((await ask(path + slash)).body, "path/my-role");
        }
        assert.equal((await ask(`${path}/another`)).status, 404);
      });
    }

    test("names the account where that is asked for, and is known", async () => {
      const path = "/latest/meta-data/iam/security-credentials-extended/path/my-role";
      const { status, body } = await ask(path);
      assert.equal(status, 200);
      assert.equal(body, CREDENTIALS_JSON.replace(/}\n$/, ',"AccountId":"123456789012"}\n'));

      const known = world.pod;
      world.pod = { ...known, roleArn: undefined };
      const unknown = await ask(path);
      world.pod = known;
      assert.equal(unknown.body, CREDENTIALS_JSON);
    });

    for (const path of ["/latest/meta-data/iam/info", "/latest/meta-data/iam/info/"]) {
      test(`says at ${path} what the pod's own role is, and nothing of the node's`, async () => {
        world.asked.length = 0;
        const { status, body } = await ask(path);
        assert.equal(status, 200);
        assert.deepEqual(JSON.parse(body), {
          Code: "Success",
          LastUpdated: "2026-01-01T00:00:00Z",
          InstanceProfileArn: "arn:aws:iam::123456789012:instance-profile/path/my-role",
        });
        assert.deepEqual(world.asked, []);
      });
    }

    test("says nothing there of a role that is refused, nor of one without an ARN", async () => {
      const info = () => ask("/latest/meta-data/iam/info");
      world.credentials = new AppError("namespace_forbids", "why");
      assert.equal((await info()).status, 404);
      world.credentials = CREDENTIALS;
      const known = world.pod;
      world.pod = { ...known, roleArn: undefined };
      assert.deepEqual([(await info()).status, (await info()).body], [404, ""]);
      world.pod = known;
    });

    for (const path of LEAKS) {
      test(`never asks upstream for ${path}, although everything is allowed`, async () => {
        world.asked.length = 0;
        await ask(path);
        assert.deepEqual(world.asked, []);
      });
    }

    test("asks upstream for what is allowed, by its normalised path", async () => {
      world.asked.length = 0;
      const { body } = await ask("/latest//meta-data/./placement/region");
      assert.equal(body, "upstream");
      assert.deepEqual(world.asked, ["/latest/meta-data/placement/region"]);
    });

    for (const path of ["/latest/meta-data/placement/availability-zone", "/latest/meta-data/mac"]) {
      test(`asks for ${path} with and without a slash when one spelling is allowed`, async () => {
        await using closed = await serveEndpoint({ allow: (asked) => asked === path });
        for (const asked of [path, `${path}/`]) {
          assert.equal((await send(closed.port, asked)).status, 200);
        }
        assert.equal((await send(closed.port, `${path}/x`)).status, 404);
        assert.deepEqual(closed.asked, [path, `${path}/`]);
      });
    }

    test("is alive by itself, and says with deep what a server says", async () => {
      world.server = new AppError("server_unavailable", "No server answered within 900 ms");
      const shallow = await ask("/health");
      const deep = await ask("/health?deep=1");
      world.server = "ok";

      assert.deepEqual([shallow.status, shallow.body], [200, "ok"]);
      assert.deepEqual([deep.status, deep.body], [500, "No server answered within 900 ms"]);
      const healed = await ask("/health?deep=1");
      assert.deepEqual([healed.status, healed.body], [200, "ok"]);
      assert.equal((await ask("/health/?deep=")).status, 200);
    });

    for (const method of ["GET", "HEAD", "PUT", "POST"]) {
      test(`answers /ping and /ping/ to ${method}`, async () => {
        for (const path of ["/ping", "/ping/"]) {
          const { status, body } = await ask(path, { method });
          assert.deepEqual([status, body], [200, method === "HEAD" ? "" : "pong"]);
        }
      });
    }

    for (const method of ["POST", "PUT", "PATCH", "OPTIONS", "TRACE", "PROPFIND"]) {
      test(`tells ${method} which methods there are, and asks nobody`, async () => {
        world.asked.length = 0;
        world.addresses.length = 0;
        for (const path of [`${LIST}/`, `${LIST}/path/my-role`, "/latest/meta-data/instance-id"]) {
          const { status, headers } = await ask(path, { method });
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
      await ask(`${LIST}/?ip=10.0.0.9`, { headers });
      assert.deepEqual([...new Set(world.addresses)], [host]);
    });

    test("never redirects and never crashes, whatever the path", async () => {
      const words =
        "/ // . .. latest meta-data iam security-credentials %2f % %00 path my-role ? # : http:// api token";
      const part = fc.constantFrom(...words.split(" "));
      await fc.assert(
        fc.asyncProperty(fc.array(part, { maxLength: 8 }), async (parts) => {
          const { status } = await ask(`/${parts.join("")}`);
          assert.ok([200, 400, 404, 405].includes(status), `${status}`);
        }),
      );
    });
  });
}

describe("whose request it is", { timeout: 10_000 }, () => {
  test("is the query's word only where that is allowed", async () => {
    await using world = await serveEndpoint({ allowIpQuery: true });
    await send(world.port, `${LIST}/path/my-role?ip=10.0.0.9`);
    await send(world.port, `${LIST}/path/my-role?ip=`);
    assert.deepEqual(world.addresses, ["10.0.0.9", "127.0.0.1"]);
  });

  test("is one address, with IPv4 and IPv6 on one port", { skip: SKIP_IPV6 }, async () => {
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
