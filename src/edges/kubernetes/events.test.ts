import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startApiServer } from "#test/api-server.ts";
import { FakeClock } from "#test/fake-clock.ts";
import { kubernetesPod } from "#test/pods.ts";
import { eventWriter } from "./events.ts";
import { HttpConnection } from "./http-connection.ts";
import { Identities } from "./identity.ts";
import { projectPod } from "./pods.ts";

const NOBODY = { token: undefined, authority: undefined, certificate: undefined, key: undefined };

async function setUp() {
  const api = await startApiServer();
  const clock = new FakeClock();
  const connection = new HttpConnection({
    server: new URL(api.url),
    identities: new Identities(async () => NOBODY, clock),
  });
  const pod = projectPod(kubernetesPod({ namespace: "shop", name: "cart", addresses: [] }));
  const write = eventWriter({ connection, component: "kiam.server", host: "server-0", clock });
  return {
    api,
    tell(message: string) {
      assert.ok(pod !== undefined);
      const event = { pod, type: "Warning", reason: "KiamRoleForbidden", message } as const;
      return write(event, new AbortController().signal);
    },
    async [Symbol.asyncDispose]() {
      connection[Symbol.dispose]();
      await api[Symbol.asyncDispose]();
    },
  };
}

describe("eventWriter", { timeout: 20_000 }, () => {
  test("writes an event on the pod, in its namespace, as Kiam does", async () => {
    await using world = await setUp();
    await world.tell("failed assuming role");

    assert.equal(world.api.asked.at(-1), "/api/v1/namespaces/shop/events");
    const [event] = world.api.events;
    assert.deepEqual(event?.["involvedObject"], {
      apiVersion: "v1",
      kind: "Pod",
      namespace: "shop",
      name: "cart",
      uid: "uid-shop-cart",
      resourceVersion: "",
    });
    assert.deepEqual(
      [event?.["type"], event?.["reason"], event?.["message"], event?.["source"]],
      [
        "Warning",
        "KiamRoleForbidden",
        "failed assuming role",
        { component: "kiam.server", host: "server-0" },
      ],
    );
  });

  test("cuts a message to what the API server takes, at the end of a character", async () => {
    await using world = await setUp();
    await world.tell("ü".repeat(2_000));

    const message = String(world.api.events[0]?.["message"]);
    assert.ok(Buffer.byteLength(message) <= 1_024);
    assert.match(message, /^ü+…$/);
  });

  const refusals = [
    {
      status: 403,
      code: "kubernetes_refused",
      says: /"create" \(403\).*\["events"\].*\["create"\]/,
    },
    { status: 401, code: "kubernetes_refused", says: /does not accept the credentials/ },
    { status: 404, code: "kubernetes_refused", says: /Cannot create events: .* answered 404/ },
    { status: 429, code: "kubernetes_unavailable", says: /answered 429/ },
    { status: 500, code: "kubernetes_unavailable", says: /answered 500/ },
  ];
  for (const { status, code, says } of refusals) {
    test(`says what ${status} means`, async () => {
      await using world = await setUp();
      world.api.failNext({ status, message: "secret-text" });
      await assert.rejects(world.tell("a"), (error: Error & { code?: string }) => {
        assert.equal(error.code, code);
        assert.match(error.message, says);
        assert.doesNotMatch(error.message, /secret-text/);
        return true;
      });
    });
  }
});
