import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import { NamespaceIndex } from "#core/pod/namespace-index.ts";
import type { Pod } from "#core/pod/pod.ts";
import { PodIndex } from "#core/pod/pod-index.ts";
import type { SessionIdentity } from "#core/session/session-identity.ts";
import { Expressions } from "./expression.ts";
import { knownPod } from "#test/known-pod.ts";
import { Grants } from "./grants.ts";

const ROLE = "arn:aws:iam::123456789012:role/reader";

const pod = (fields: Partial<Pod> = {}): Pod => knownPod({ role: "reader", ...fields });

function namespace(permitted: string | undefined, resourceVersion = "1") {
  return { name: "shop", resourceVersion, permitted, requireImdsv2: false };
}

function setUp() {
  const wanted = new Map<string, SessionIdentity | undefined>();
  const grants = new Grants(new PodIndex(), new NamespaceIndex(), {
    decided: ({ uid }, grant) =>
      wanted.set(uid, grant?.outcome === "granted" ? grant.session : undefined),
    gone: ({ uid }) => wanted.set(uid, undefined),
  });
  const compile = (source: string) => {
    const expression = new RegExp(source, "u");
    return (text: string): boolean => expression.test(text);
  };
  const rules = {
    baseArn: "arn:aws:iam::123456789012:role/",
    expressions: new Expressions(compile, { strict: true }),
    defaultSessionName: "kiam",
    durationSeconds: 3600,
  };
  const sync = (permitted: string | undefined = ".*reader"): void => {
    grants.use(rules);
    grants.applyNamespaces({ type: "replaced", items: [namespace(permitted)] });
    grants.applyPods({ type: "replaced", items: [] });
  };
  return { grants, wanted, rules, sync };
}

describe("Grants", () => {
  test("answers nothing before pods, namespaces and the base ARN are known", () => {
    const { grants } = setUp();

    assert.throws(
      () => grants.podAt("10.0.0.1"),
      (error) => error instanceof AppError && error.code === "not_ready",
    );
    assert.equal(grants.missing().length, 3);
  });

  test("wants the session of a permitted pod as soon as it is scheduled", () => {
    const { grants, wanted, sync } = setUp();
    sync();

    grants.applyPods({ type: "put", item: pod({ node: "", addresses: [], phase: "Pending" }) });
    assert.equal(wanted.get("uid-1"), undefined);
    grants.applyPods({
      type: "put",
      item: pod({ resourceVersion: "2", addresses: [], phase: "Pending" }),
    });

    assert.equal(wanted.get("uid-1")?.role, ROLE);
  });

  test("never wants a session that the namespace does not permit", () => {
    const { grants, wanted, sync } = setUp();
    sync("other");

    grants.applyPods({ type: "put", item: pod() });

    assert.equal(wanted.get("uid-1"), undefined);
  });

  test("stops wanting when the namespace stops permitting, and wants again when it does", () => {
    const { grants, wanted, sync } = setUp();
    sync();
    grants.applyPods({ type: "put", item: pod() });

    grants.applyNamespaces({ type: "put", item: namespace("other", "2") });
    assert.equal(wanted.get("uid-1"), undefined);
    assert.equal(grants.request("10.0.0.1", "reader").grant.outcome, "refused");
    grants.applyNamespaces({ type: "put", item: namespace(".*reader", "3") });

    assert.equal(wanted.get("uid-1")?.role, ROLE);
    assert.equal(grants.request("10.0.0.1", "reader").grant.outcome, "granted");
  });

  test("follows the role annotation", () => {
    const { grants, wanted, sync } = setUp();
    sync(".*");
    grants.applyPods({ type: "put", item: pod() });

    grants.applyPods({ type: "put", item: pod({ role: "writer", resourceVersion: "2" }) });

    assert.equal(wanted.get("uid-1")?.role, "arn:aws:iam::123456789012:role/writer");
    assert.equal(grants.request("10.0.0.1", "reader").grant.outcome, "refused");
  });

  test("wants nothing for a pod that ended or went", () => {
    const { grants, wanted, sync } = setUp();
    sync();
    grants.applyPods({ type: "put", item: pod() });
    grants.applyPods({ type: "put", item: pod({ phase: "Succeeded", resourceVersion: "2" }) });
    assert.equal(wanted.get("uid-1"), undefined);

    grants.applyPods({
      type: "put",
      item: pod({ uid: "uid-2", name: "cart-2", resourceVersion: "3" }),
    });
    assert.notEqual(wanted.get("uid-2"), undefined);
    grants.applyPods({ type: "replaced", items: [] });

    assert.equal(wanted.get("uid-2"), undefined);
  });
});
