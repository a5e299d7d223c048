import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import type { AppError } from "#core/errors.ts";
import type { Change } from "#core/watch/change.ts";
import { follow } from "#core/watch/follow.ts";
import { type ApiServer, startApiServer } from "#test/api-server.ts";
import { kubernetesNamespace, kubernetesPod } from "#test/pods.ts";
import type { Pod } from "#core/pod/pod.ts";
import { systemClock } from "#runtime/system-clock.ts";
import { HttpConnection } from "./http-connection.ts";
import { Identities } from "./identity.ts";
import { Secret } from "#core/secret.ts";
import { type ListWatchEvent, listWatch } from "./list-watch.ts";
import { projectPod } from "./pods.ts";

/** Follows the pods of a simulated API server, and lets a test wait for what it wants to see. */
async function following(
  api: ApiServer,
  { pageSize = 500, idleMs = 10_000, token = (): string => "token" } = {},
) {
  const stop = new AbortController();
  const known = new Map<string, Pod>();
  const broke: AppError[] = [];
  const seen: ListWatchEvent[] = [];
  let replaced = 0;
  const identities = new Identities(
    async () => ({
      token: new Secret(token()),
      authority: undefined,
      certificate: undefined,
      key: undefined,
    }),
    systemClock,
  );
  const connection = new HttpConnection({ server: new URL(api.url), identities });
  const apply = (change: Change<Pod>): void => {
    if (change.type === "replaced") {
      replaced += 1;
      known.clear();
      for (const pod of change.items) known.set(pod.name, pod);
    } else if (change.type === "put") known.set(change.item.name, change.item);
    else known.delete(change.item.name);
  };
  const ended = follow(
    listWatch({
      connection,
      path: "/api/v1/pods",
      project: projectPod,
      clock: systemClock,
      observe: (event) => seen.push(event),
      pageSize,
      idleMs,
    }),
    apply,
    {
      clock: systemClock,
      random: () => 0.5,
      pause: { firstMs: 10, mostMs: 50 },
      signal: stop.signal,
      observe: (event) => {
        if (event.type === "broke") broke.push(event.error);
      },
    },
  ).catch(() => {});
  return {
    known,
    broke,
    seen,
    replaced: () => replaced,
    async [Symbol.asyncDispose]() {
      stop.abort(new Error("over"));
      await ended;
      connection[Symbol.dispose]();
    },
  };
}

/** Waits for a condition, and fails when it does not come true: a loop would outlive its test. */
async function until(condition: () => boolean): Promise<void> {
  const patience = AbortSignal.timeout(10_000);
  while (!condition()) await systemClock.sleep(5, patience);
}

function put(api: ApiServer, ...names: string[]): void {
  for (const name of names) api.putPod(kubernetesPod({ name, addresses: ["10.0.0.1"] }));
}

describe("listWatch", { timeout: 30_000 }, () => {
  test("lists in pages, then follows", async () => {
    await using api = await startApiServer();
    put(api, "a", "b", "c", "d", "e");
    await using pods = await following(api, { pageSize: 2 });
    await until(() => pods.known.size === 5);

    assert.equal(pods.replaced(), 1);
    assert.ok(api.asked.filter((path) => path.includes("limit=2")).length >= 3);
    put(api, "f");
    api.removePod("default", "a");
    await until(() => pods.known.has("f") && !pods.known.has("a"));
  });

  test("goes on where a dropped connection left off, without listing again", async () => {
    await using api = await startApiServer();
    put(api, "a");
    await using pods = await following(api);
    await until(() => api.watches === 1);

    api.dropConnections();
    put(api, "b");
    await until(() => pods.known.has("b"));

    assert.equal(pods.replaced(), 1);
  });

  test("goes on when a watch's time is over, from the version of the last bookmark", async () => {
    await using api = await startApiServer();
    await using pods = await following(api);
    await until(() => api.watches === 1);
    put(api, "a");
    await until(() => pods.known.has("a"));

    // Other collections move the cluster's version, and only a bookmark tells this watch of it.
    api.putNamespace(kubernetesNamespace({ name: "other" }));
    api.bookmark("pods");
    api.endWatches();
    await until(() => api.watches === 0);
    put(api, "b");
    await until(() => pods.known.has("b"));

    assert.equal(pods.replaced(), 1);
    const resumed = api.asked
      .filter((path) => path.includes("watch=1"))
      .map((path) => Number(new URL(path, api.url).searchParams.get("resourceVersion")));
    assert.equal(resumed.length, 2);
    assert.ok((resumed[1] ?? 0) >= (resumed[0] ?? 0) + 2, String(resumed));
  });

  for (const goneAs of ["frame", "status"] as const) {
    test(`lists again when the version is gone, told as ${goneAs}, and forgets nothing meanwhile`, async () => {
      await using api = await startApiServer();
      api.goneAs = goneAs;
      put(api, "a");
      await using pods = await following(api);
      await until(() => api.watches === 1);

      await api.stop();
      put(api, "b", "c");
      api.removePod("default", "c");
      api.compact();
      assert.deepEqual([...pods.known.keys()], ["a"]);
      await api.start();
      await until(() => pods.known.has("b"));

      assert.equal(pods.replaced(), 2);
    });
  }

  test("forgets nothing while the API server is away", async () => {
    await using api = await startApiServer();
    put(api, "a");
    await using pods = await following(api);
    await until(() => api.watches === 1);

    await api.stop();
    await until(() => pods.broke.length >= 3);

    assert.deepEqual([...pods.known.keys()], ["a"]);
    assert.ok(pods.broke.every(({ code }) => code === "kubernetes_unavailable"));
  });

  test("leaves a connection that is open and says nothing", async () => {
    await using api = await startApiServer();
    put(api, "a");
    await using pods = await following(api, { idleMs: 300 });
    await until(() => api.watches === 1);

    api.freeze();
    put(api, "b");
    await until(() => pods.broke.length > 0);
    api.thaw();

    await until(() => pods.known.has("b"));
  });

  test("takes a rotated token", async () => {
    await using api = await startApiServer({ tokens: ["first"] });
    let token = "first";
    put(api, "a");
    await using pods = await following(api, { token: () => token });
    await until(() => pods.known.has("a"));

    api.tokens.clear();
    api.tokens.add("second");
    token = "second";
    api.dropConnections();
    put(api, "b");

    await until(() => pods.known.has("b"));
  });

  const refusals = [
    { status: 401, code: "kubernetes_refused", says: /token|credential/i },
    { status: 403, code: "kubernetes_refused", says: /list.*pods|pods.*list/i },
    { status: 429, code: "kubernetes_unavailable", says: /429|requests|later/i },
    { status: 500, code: "kubernetes_unavailable", says: /500/ },
  ];
  for (const { status, code, says } of refusals) {
    test(`says what ${status} means, and goes on`, async () => {
      await using api = await startApiServer();
      put(api, "a");
      // The second is for the try with a token that is read anew.
      api.failNext({ status });
      if (status === 401) api.failNext({ status });
      await using pods = await following(api);
      await until(() => pods.known.has("a"));

      assert.equal(pods.broke[0]?.code, code);
      assert.match(pods.broke[0]?.message ?? "", says);
    });
  }

  for (const verb of ["list", "watch"] as const) {
    test(`names the verb ${verb} when RBAC lacks it, and the rule that would help`, async () => {
      await using api = await startApiServer();
      put(api, "a");
      if (verb === "list") api.failNext({ status: 403 });
      await using pods = await following(api);
      await until(() => api.watches === 1);
      if (verb === "watch") {
        api.failNext({ status: 403 });
        api.endWatches();
        await until(() => pods.broke.length > 0);
      }

      assert.equal(
        pods.broke[0]?.message,
        `Cannot ${verb} pods: RBAC does not allow the verb "${verb}" (403); bind the service account to a ClusterRole with the rule apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch"]`,
      );
      put(api, "b");
      await until(() => pods.known.has("b"));
    });
  }

  test("waits as long as Retry-After says", async () => {
    await using api = await startApiServer();
    put(api, "a");
    api.failNext({ status: 429, retryAfter: 1 });
    const started = performance.now();
    await using pods = await following(api);
    await until(() => pods.known.has("a"));

    assert.ok(performance.now() - started >= 990);
  });

  test("is not harmed by a line that is no JSON", async () => {
    await using api = await startApiServer();
    put(api, "a");
    await using pods = await following(api);
    await until(() => api.watches === 1);

    api.writeRaw('{"external-id": "hunter2"\n');
    put(api, "b");

    await until(() => pods.known.has("b"));
    assert.equal(pods.broke.length, 1);
    // Annotations may be secret, so what can't be read isn't quoted.
    assert.doesNotMatch(inspect(pods.broke), /hunter2/);
  });

  test("skips an object without fields, and says so", async () => {
    await using api = await startApiServer();
    await using pods = await following(api);
    await until(() => api.watches === 1);

    api.writeRaw(`${JSON.stringify({ type: "ADDED", object: { metadata: {} } })}\n`);
    put(api, "b");
    await until(() => pods.known.has("b"));

    assert.ok(pods.seen.some(({ type }) => type === "skipped"));
  });
});
