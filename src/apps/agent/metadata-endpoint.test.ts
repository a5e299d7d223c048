import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { AppError } from "#core/errors.ts";
import { isNeverAllowed } from "#core/imds/deny-list.ts";
import { parsePath } from "#core/imds/path.ts";
import { Tokens } from "#core/imds/token.ts";
import { Secret } from "#core/secret.ts";
import type { Credentials } from "#core/session/credentials.ts";
import { type HttpListener, listen } from "#edges/http/listen.ts";
import { FakeClock } from "#test/fake-clock.ts";
import { metadataEndpoint } from "./metadata-endpoint.ts";

const LIST = "/latest/meta-data/iam/security-credentials";
const TTL = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN = "x-aws-ec2-metadata-token";

const CREDENTIALS: Credentials = {
  accessKeyId: "ASIA1",
  secretAccessKey: new Secret("a<secret>"),
  sessionToken: new Secret("token"),
  issuedAt: Date.UTC(2026, 0, 1),
  expiresAt: Date.UTC(2026, 0, 1, 1),
};

interface World {
  role: string | AppError;
  credentials: Credentials | AppError;
  readonly asked: string[];
  readonly port: number;
  readonly clock: FakeClock;
}

async function serve(options: { kiamCompatible?: boolean; requireImdsv2?: boolean } = {}) {
  const clock = new FakeClock();
  const asked: string[] = [];
  const world: { role: string | AppError; credentials: Credentials | AppError } = {
    role: "path/my-role",
    credentials: CREDENTIALS,
  };
  const orThrow = <T>(value: T | AppError): T => {
    if (value instanceof AppError) throw value;
    return value;
  };
  const listener: HttpListener = await listen({
    port: 0,
    host: "127.0.0.1",
    handler: metadataEndpoint({
      table: {
        role: async () => orThrow(world.role),
        credentials: async (_address, role) => {
          if (role !== "path/my-role") throw new AppError("role_mismatch", "another role");
          return orThrow(world.credentials);
        },
      },
      tokens: new Tokens({
        sign: (bytes) => createHmac("sha256", "key").update(bytes).digest(),
        clock,
      }),
      upstream: async (path) => {
        asked.push(path);
        return { status: 200, contentType: "text/plain", body: "upstream" };
      },
      allow: () => true,
      allowSource: ".*",
      requireImdsv2: options.requireImdsv2 ?? false,
      kiamCompatible: options.kiamCompatible ?? false,
      allowIpQuery: false,
      serverHealth: async () => "ok",
      clock,
      observe: () => {},
    }),
  });
  return { listener, world: Object.assign(world, { asked, port: listener.port, clock }) as World };
}

interface Reply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

function send(port: number, path: string, options: http.RequestOptions = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    http
      .request({ port, host: "127.0.0.1", path, agent: false, ...options }, (response) => {
        let body = "";
        response.on("data", (chunk) => (body += String(chunk)));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        );
      })
      .on("error", reject)
      .end();
  });
}

describe("the metadata endpoint", { timeout: 20_000 }, () => {
  let world: World;
  let listener: HttpListener;
  before(async () => {
    ({ listener, world } = await serve());
  });
  after(() => listener[Symbol.asyncDispose]());

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
      assert.equal(
        body,
        '{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIA1","SecretAccessKey":"a\\u003csecret\\u003e","Token":"token","Expiration":"2026-01-01T01:00:00Z","LastUpdated":"2026-01-01T00:00:00Z"}\n',
      );
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

  for (const ttl of ["0", "21601", "x", "", "-1", "1.5"]) {
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

  const leaks = [
    `${LIST}/x%0a`,
    "/latest/meta-data/iam%0a/security-credentials/",
    "/latest/meta-data/iam;a/security-credentials/",
    "/latest/meta-data/iam/security-credentials%20/",
    "/latest/meta-data/iam/info",
    "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
    "/latest/user-data",
    "/latest//user-data/",
    "/latest/%75ser-data",
    "/latest/%2575ser-data",
    "/latest/meta-data/../user-data",
    "/latest/USER-DATA",
    "/latest/meta-data/public-keys/",
  ];
  for (const path of leaks) {
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
});

describe("the metadata endpoint that requires IMDSv2", { timeout: 10_000 }, () => {
  test("refuses a request without a token", async () => {
    const { listener, world } = await serve({ requireImdsv2: true });
    assert.equal((await send(world.port, `${LIST}/`)).status, 401);
    await listener[Symbol.asyncDispose]();
  });
});

describe("the metadata endpoint that answers as Kiam", { timeout: 10_000 }, () => {
  test("redirects, and writes errors in Kiam's words", async () => {
    const { listener, world } = await serve({ kiamCompatible: true });
    const redirect = await send(world.port, LIST);
    assert.deepEqual([redirect.status, redirect.headers["location"]], [301, `${LIST}/`]);
    const cleaned = await send(world.port, "//latest/x?a=b");
    assert.deepEqual([cleaned.status, cleaned.headers["location"]], [301, "/latest/x?a=b"]);
    const mismatch = await send(world.port, `${LIST}/other`);
    assert.deepEqual(
      [mismatch.status, mismatch.body],
      [500, "error fetching credentials: forbidden by policy\n"],
    );
    world.role = new AppError("no_role", "none");
    const empty = await send(world.port, `${LIST}/`);
    assert.deepEqual([empty.status, empty.body], [404, "empty role\n"]);
    await listener[Symbol.asyncDispose]();
  });
});

describe("the deny-list", () => {
  test("lets no encoding of a path to credentials through", () => {
    const spelled = fc
      .constantFrom("/latest/user-data", "/latest/meta-data/iam/security-credentials/node-role")
      .chain((path) =>
        fc
          .array(fc.constantFrom("plain", "encoded", "twice", "upper"), {
            minLength: path.length,
            maxLength: path.length,
          })
          .map((ways) =>
            path
              .split("")
              .map((character, index) => {
                const hex = (character.codePointAt(0) ?? 0).toString(16);
                if (character === "/") return index % 3 === 0 ? "//" : "/./";
                if (ways[index] === "encoded") return `%${hex}`;
                if (ways[index] === "twice") return `%25${hex}`;
                return ways[index] === "upper" ? character.toUpperCase() : character;
              })
              .join(""),
          ),
      );
    fc.assert(
      fc.property(spelled, (target) => {
        const parsed = parsePath(target);
        assert.ok(!parsed.ok || isNeverAllowed(parsed.path));
      }),
      { numRuns: 5_000 },
    );
  });
});
