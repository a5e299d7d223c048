import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import { Secret } from "#core/secret.ts";
import { protobuf, rawCall, rpcWorld } from "#test/rpc.ts";

const ROLE = "/kiam.KiamService/GetPodRole";
const CREDENTIALS = "/kiam.KiamService/GetPodCredentials";
const HEALTH = "/kiam.KiamService/GetHealth";
const TIMEOUT = { timeout: 30_000 };

let world: Awaited<ReturnType<typeof rpcWorld>>;
before(async () => {
  world = await rpcWorld();
});
after(() => world[Symbol.asyncDispose]());

describe("serveKiam on the wire", TIMEOUT, () => {
  test("answers GetHealth, GetPodRole and GetPodCredentials byte by byte as Kiam does", async () => {
    const server = await world.serve({
      role: async (address) => `role-of-${address}`,
      credentials: async (address, role) => ({
        accessKeyId: `AKIA${address}`,
        secretAccessKey: new Secret(`secret-${role}`),
        sessionToken: new Secret("token"),
        issuedAt: Date.UTC(2026, 0, 2, 3, 4, 5, 999),
        expiresAt: Date.UTC(2026, 0, 2, 4, 4, 5, 999),
      }),
    });
    const session = world.dial(server.port);

    const health = await rawCall(session, HEALTH, Buffer.alloc(0));
    const role = await rawCall(session, ROLE, protobuf({ 1: "10.0.0.1" }));
    const credentials = await rawCall(session, CREDENTIALS, protobuf({ 1: "10.0.0.1", 2: "r" }));

    assert.equal(health.message, protobuf({ 1: "ok" }).toString("hex"));
    assert.equal(role.message, protobuf({ 1: "role-of-10.0.0.1" }).toString("hex"));
    assert.equal(
      credentials.message,
      protobuf({
        1: "Success",
        2: "AWS-HMAC",
        3: "AKIA10.0.0.1",
        4: "secret-r",
        5: "token",
        6: "2026-01-02T04:04:05Z",
        7: "2026-01-02T03:04:05Z",
      }).toString("hex"),
    );
    assert.equal(role.headers["content-type"], "application/grpc+proto");
    assert.equal(role.trailers["grpc-status"], "0");
  });

  test("sends an empty role as no bytes at all", async () => {
    const server = await world.serve({ role: async () => "" });

    const { message, trailers } = await rawCall(
      world.dial(server.port),
      ROLE,
      protobuf({ 1: "a" }),
    );

    assert.equal(message, "");
    assert.equal(trailers["grpc-status"], "0");
  });

  for (const { code, path, text } of [
    { code: "pod_not_found", path: ROLE, text: "pod not found" },
    { code: "pod_not_found", path: CREDENTIALS, text: "no pod found" },
    { code: "pod_ambiguous", path: ROLE, text: "multiple running pods found" },
    { code: "pod_ambiguous", path: CREDENTIALS, text: "multiple running pods found" },
    { code: "namespace_forbids", path: CREDENTIALS, text: "forbidden by policy" },
    { code: "role_mismatch", path: CREDENTIALS, text: "forbidden by policy" },
    { code: "no_role", path: CREDENTIALS, text: "role can't be empty" },
    { code: "sts_denied", path: CREDENTIALS, text: "AccessDenied: ünd so weiter 100%" },
  ] as const) {
    test(`says "${text}" with status 2 for ${code} in ${path}`, async () => {
      const fail = (): Promise<never> =>
        Promise.reject(new AppError(code, "AccessDenied: ünd so weiter 100%"));
      const server = await world.serve({ role: fail, credentials: fail });

      const answer = await rawCall(world.dial(server.port), path, protobuf({ 1: "a", 2: "r" }));
      const { trailers } = answer;

      assert.equal(trailers["grpc-status"], "2");
      assert.equal(decodeURIComponent(String(trailers["grpc-message"])), text);
      assert.equal(trailers["rolecall-code"], code);
      assert.equal(
        decodeURIComponent(String(trailers["rolecall-reason"])),
        "AccessDenied: ünd so weiter 100%",
      );
      assert.equal(answer.message, undefined);
    });
  }

  test("answers what no handler expected as internal, without its text, and goes on", async () => {
    const server = await world.serve({
      role: () => Promise.reject(new Error("secret-text")),
    });
    const session = world.dial(server.port);

    const { trailers } = await rawCall(session, ROLE, protobuf({ 1: "a" }));
    const { message } = await rawCall(session, HEALTH, Buffer.alloc(0));

    assert.equal(trailers["grpc-status"], "2");
    assert.equal(trailers["rolecall-code"], "internal");
    assert.ok(!JSON.stringify(trailers).includes("secret-text"));
    assert.equal(message, protobuf({ 1: "ok" }).toString("hex"));
    assert.equal((await server.events.first("call_handled")).code, "Unknown");
  });

  test("answers an unknown method with Unimplemented, and bytes that are no message with an error", async () => {
    const server = await world.serve({});
    const session = world.dial(server.port);

    const unknown = await rawCall(session, "/kiam.KiamService/Nope", Buffer.alloc(0));
    const rubbish = await rawCall(session, ROLE, Buffer.from("ffffffff", "hex"));
    const huge = await rawCall(session, ROLE, Buffer.alloc(70_000));
    const health = await rawCall(session, HEALTH, Buffer.alloc(0));

    assert.equal(unknown.headers["grpc-status"], "12");
    assert.notEqual(rubbish.trailers["grpc-status"], "0");
    assert.notEqual(huge.trailers["grpc-status"], "0");
    assert.equal(health.trailers["grpc-status"], "0");
  });

  test("survives requests with an authority that is none", async () => {
    const server = await world.serve({});
    const session = world.dial(server.port);

    const bad = rawCall(session, HEALTH, Buffer.alloc(0), { ":authority": "a b:^" });

    await assert.rejects(bad);
    const { trailers } = await rawCall(session, HEALTH, Buffer.alloc(0));
    assert.equal(trailers["grpc-status"], "0");
  });

  test("ends a call at the caller's deadline, and tells the handler", async () => {
    const aborted = Promise.withResolvers<void>();
    const server = await world.serve({
      role: (_address, signal) =>
        new Promise(() => {
          signal.addEventListener("abort", () => aborted.resolve());
        }),
    });

    const { trailers } = await rawCall(world.dial(server.port), ROLE, protobuf({ 1: "a" }), {
      "grpc-timeout": "50m",
    });
    await aborted.promise;

    assert.equal(trailers["grpc-status"], "4");
    assert.equal((await server.events.first("call_handled")).code, "DeadlineExceeded");
  });
});
