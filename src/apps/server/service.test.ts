import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import { NamespaceIndex } from "#core/pod/namespace-index.ts";
import { projectNamespace } from "#edges/kubernetes/namespaces.ts";
import { projectPod } from "#edges/kubernetes/pods.ts";
import { PodIndex } from "#core/pod/pod-index.ts";
import { Expressions } from "#core/policy/expression.ts";
import { Grants } from "#core/policy/grants.ts";
import { Secret } from "#core/secret.ts";
import type { Credentials } from "#core/session/credentials.ts";
import { compileRe2 } from "#runtime/re2-engine.ts";
import { kubernetesNamespace, kubernetesPod } from "#test/pods.ts";
import { type ServiceEvent, kiamHandlers } from "./service.ts";

const never = new AbortController().signal;
const CREDENTIALS: Credentials = {
  accessKeyId: "ASIA1",
  secretAccessKey: new Secret("secret"),
  sessionToken: new Secret("token"),
  issuedAt: 0,
  expiresAt: 1,
};

/** A cluster of one pod at 10.0.0.1 that names `reader`, and a session table that notes who asks it. */
function setUp({ permitted = ".*reader" } = {}) {
  const asked: string[] = [];
  const events: ServiceEvent["type"][] = [];
  const sessions = { answer: async (): Promise<Credentials> => CREDENTIALS };
  const grants = new Grants(new PodIndex(), new NamespaceIndex(), {
    decided: () => {},
    gone: () => {},
  });
  grants.use({
    baseArn: "arn:aws:iam::123456789012:role/",
    expressions: new Expressions(compileRe2, { strict: true }),
    defaultSessionName: "kiam",
    durationSeconds: 3_600,
  });
  let version = 0;
  const stamped = <T extends { metadata: object }>(object: T): T => ({
    ...object,
    metadata: { ...object.metadata, resourceVersion: String((version += 1)) },
  });
  const putNamespace = (expression: string): void => {
    const annotations = { "iam.amazonaws.com/permitted": expression };
    const item = projectNamespace(stamped(kubernetesNamespace({ name: "default", annotations })));
    assert.ok(item !== undefined);
    grants.applyNamespaces({ type: "put", item });
  };
  const putPod = (
    name: string,
    role: string | undefined,
    { phase = "Running", sessionName = "a", addresses = ["10.0.0.1"] } = {},
  ): void => {
    const annotations: Record<string, string> = {
      "iam.amazonaws.com/session-name": sessionName,
      ...(role === undefined ? {} : { "iam.amazonaws.com/role": role }),
    };
    const item = projectPod(stamped(kubernetesPod({ name, addresses, annotations, phase })));
    assert.ok(item !== undefined);
    grants.applyPods({ type: "put", item });
  };
  grants.applyNamespaces({ type: "replaced", items: [] });
  grants.applyPods({ type: "replaced", items: [] });
  putNamespace(permitted);
  putPod("first", "reader");
  const handlers = kiamHandlers({
    grants,
    sessions: {
      get: ({ role }) => {
        asked.push(role);
        return sessions.answer();
      },
    },
    observe: ({ type }) => void events.push(type),
  });
  return { handlers, asked, events, sessions, putNamespace, putPod };
}

type World = ReturnType<typeof setUp>;

describe("kiamHandlers.credentials", () => {
  test("gives the credentials of the session that was granted", async () => {
    const { handlers, asked } = setUp();

    assert.equal(await handlers.credentials("10.0.0.1", "reader", never), CREDENTIALS);
    assert.deepEqual(asked, ["arn:aws:iam::123456789012:role/reader"]);
  });

  const refusals = [
    { name: "a role that the namespace does not permit", permitted: ".*other", role: "reader" },
    { name: "another role than annotated", permitted: ".*", role: "writer" },
    { name: "what an expression that is none permits", permitted: "(", role: "reader" },
  ];
  for (const { name, permitted, role } of refusals) {
    test(`refuses ${name} before the session table, and so STS, hears of it`, async () => {
      const { handlers, asked, events } = setUp({ permitted });

      await assert.rejects(handlers.credentials("10.0.0.1", role, never), AppError);

      assert.deepEqual(asked, []);
      assert.deepEqual(events, ["refused"]);
    });
  }

  const changes = [
    {
      name: "the namespace stops permitting the role",
      change: ({ putNamespace }: World) => putNamespace(".*other"),
      code: "namespace_forbids",
    },
    {
      name: "the pod is given another role",
      change: ({ putPod }: World) => putPod("first", "writer"),
      code: "role_mismatch",
    },
    {
      name: "the pod ends",
      change: ({ putPod }: World) => putPod("first", "reader", { phase: "Succeeded" }),
      code: "pod_not_found",
    },
    {
      name: "the pod is given another session name",
      change: ({ putPod }: World) => putPod("first", "reader", { sessionName: "b" }),
      code: "not_ready",
    },
    {
      name: "another pod claims the address",
      change: ({ putPod }: World) => putPod("second", "reader"),
      code: "pod_ambiguous",
    },
  ];
  for (const { name, change, code } of changes) {
    test(`gives nothing when ${name} while STS is asked`, async () => {
      const world = setUp({ permitted: ".*" });
      const issued = Promise.withResolvers<Credentials>();
      world.sessions.answer = () => issued.promise;

      const asked = world.handlers.credentials("10.0.0.1", "reader", never);
      change(world);
      issued.resolve(CREDENTIALS);

      await assert.rejects(asked, { code });
    });
  }

  test("serves the pod that the node names, before Kubernetes knows its address", async () => {
    const { handlers, putPod } = setUp();
    putPod("fresh", "reader", { addresses: [] });

    const [address, uid] = ["10.0.0.2", "uid-default-fresh"];
    assert.equal(await handlers.role(address, never, uid), "reader");
    assert.equal(await handlers.credentials(address, "reader", never, uid), CREDENTIALS);
    const nobody = handlers.credentials(address, "reader", never);
    await assert.rejects(nobody, { code: "pod_not_found" });
  });

  test("passes on why the session can't be had, and tells of it", async () => {
    const { handlers, events, sessions } = setUp();
    sessions.answer = () => Promise.reject(new AppError("sts_denied", "AccessDenied: no"));

    await assert.rejects(handlers.credentials("10.0.0.1", "reader", never), { code: "sts_denied" });

    assert.deepEqual(events, ["session_failed"]);
  });
});

describe("kiamHandlers.role", () => {
  test("is the annotation as written, and empty for a pod that has none", async () => {
    const { handlers, putPod } = setUp();
    assert.equal(await handlers.role("10.0.0.1", never), "reader");

    putPod("first", undefined);

    assert.equal(await handlers.role("10.0.0.1", never), "");
  });
});
