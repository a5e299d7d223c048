import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Secret } from "#core/secret.ts";
import { compileRe2 } from "#runtime/re2-engine.ts";
import { knownPod } from "#test/known-pod.ts";
import { decideRequest } from "./decide-grant.ts";
import { Expressions } from "./expression.ts";

const BASE = "arn:aws:iam::123456789012:role/";

interface Case {
  /** The pod's annotation; null when it has none. */
  readonly annotated?: string | null;
  /** What is asked for; the annotated role when absent. */
  readonly requested?: string;
  /** The namespace's annotation; null when it has none. */
  readonly permitted?: string | null;
  readonly strict?: boolean;
  readonly externalId?: string;
  readonly hasNamespace?: boolean;
  readonly baseArn?: string;
}

function decide(input: Case) {
  const { annotated = "myrole", permitted = ".*", strict = true, hasNamespace = true } = input;
  const { externalId, baseArn = BASE, requested = annotated ?? "" } = input;
  const pod = knownPod({
    namespace: "red",
    name: "pod",
    role: annotated ?? undefined,
    externalId: externalId === undefined ? undefined : new Secret(externalId),
  });
  const namespace = hasNamespace
    ? {
        name: "red",
        resourceVersion: "1",
        permitted: permitted ?? undefined,
        requireImdsv2: false,
      }
    : undefined;
  return decideRequest(pod, namespace, requested, {
    baseArn,
    expressions: new Expressions(compileRe2, { strict }),
    defaultSessionName: "kiam",
    durationSeconds: 3_600,
  });
}

describe("decideRequest", () => {
  const granted = [
    { name: "the annotated role", annotated: "myrole" },
    { name: "the same role with a slash", annotated: "myrole", requested: "/myrole" },
    { name: "and the other way round", annotated: "/myrole", requested: "myrole" },
    { name: "one of two alternatives", annotated: "red_role", permitted: ".*red.*$|^.red.*$" },
    { name: "the exact ARN", annotated: "a/b", permitted: `${BASE}a/b` },
    { name: "a part, where anchoring is off", annotated: "role", permitted: "o", strict: false },
    { name: "another account by ARN", annotated: "arn:aws:iam::210987654321:role/p/x" },
  ];
  for (const { name, ...input } of granted) {
    test(`grants ${name}`, () => assert.equal(decide(input).outcome, "granted"));
  }

  const refused = [
    {
      name: "another role than annotated",
      annotated: "myrole",
      requested: "wrong",
      code: "role_mismatch",
    },
    {
      name: "the same ARN under another name, as Kiam does",
      annotated: "myrole",
      requested: `${BASE}team/myrole`,
      baseArn: `${BASE}team/`,
      code: "role_mismatch",
    },
    { name: "without an expression", permitted: null, code: "namespace_forbids" },
    { name: "with an empty expression, anchored", permitted: "", code: "namespace_forbids" },
    {
      name: "with an empty expression, unanchored",
      permitted: "",
      strict: false,
      code: "namespace_forbids",
    },
    { name: "a part of the ARN", annotated: "role", permitted: "o", code: "namespace_forbids" },
    {
      name: "what only the first alternative's start matches (D3)",
      annotated: "admin",
      permitted: `${BASE}a|${BASE}b`,
      code: "namespace_forbids",
    },
    { name: "an unknown namespace (D2)", hasNamespace: false, code: "namespace_unknown" },
    { name: "an ARN with too few parts (D1)", annotated: "arn:x", code: "invalid_role" },
    {
      name: "an ARN that is no role",
      annotated: "arn:aws:iam::123456789012:x",
      code: "invalid_role",
    },
    {
      name: "another partition's spelling",
      annotated: "arn:azure:iam::123456789012:role/a",
      code: "invalid_role",
    },
    {
      name: "a role of another partition",
      annotated: "arn:aws-cn:iam::123456789012:role/a",
      code: "invalid_role",
    },
    { name: "control characters", annotated: "a\nb", code: "invalid_role" },
    { name: "ten kilobytes", annotated: "a".repeat(10_240), code: "invalid_role" },
    { name: "a pod that names no role", annotated: null, code: "no_role" },
    { name: "a pod whose annotation is empty", annotated: "", code: "no_role" },
    { name: "an expression that does not compile", permitted: "(", code: "invalid_expression" },
    { name: "a look-ahead", permitted: "(?=a).*", code: "invalid_expression" },
    { name: "a look-behind", permitted: ".*(?<!x)", code: "invalid_expression" },
    { name: "a back-reference", permitted: "(.*)\\1", code: "invalid_expression" },
    {
      name: "an expression of ten kilobytes and more",
      permitted: `.*|${"a".repeat(10_240)}`,
      code: "invalid_expression",
    },
    {
      name: "an expression that is short and becomes enormous",
      permitted: ".{1000}".repeat(90),
      code: "invalid_expression",
    },
    {
      name: "ten thousand groups in each other",
      permitted: "(".repeat(5_000) + ")".repeat(5_000),
      code: "invalid_expression",
    },
    {
      name: "an expression of a control character",
      permitted: "\u0000",
      code: "namespace_forbids",
    },
    {
      name: "an expression that only compiles when wrapped",
      permitted: "a)|(?:.*",
      code: "invalid_expression",
    },
    {
      name: "an external ID that STS would not take",
      externalId: "x",
      code: "invalid_external_id",
    },
  ];
  for (const { name, code, ...input } of refused) {
    test(`refuses ${name}`, () => {
      const grant = decide(input);
      assert.equal(grant.outcome === "refused" && grant.code, code);
    });
  }

  const sentences = [
    {
      annotated: null,
      requested: "a",
      says: "pod red/pod names no role; annotate it with iam.amazonaws.com/role",
    },
    {
      annotated: "myrole",
      requested: "wrong",
      says: "requested 'wrong' but annotated with 'myrole', forbidden; ask for the role that iam.amazonaws.com/role of pod red/pod names",
    },
    {
      annotated: "a",
      hasNamespace: false,
      says: "namespace red has not been seen yet, so role 'a' is not permitted; try again",
    },
    {
      annotated: "a",
      permitted: null,
      says: `namespace policy expression '(empty)' forbids role 'a'; set the annotation iam.amazonaws.com/permitted of namespace red to an expression that matches ${BASE}a`,
    },
    {
      annotated: "a",
      permitted: "b",
      says: `namespace policy expression 'b' forbids role '${BASE}a'; change the annotation iam.amazonaws.com/permitted of namespace red if the pod may have it`,
    },
    {
      annotated: "a",
      permitted: "(",
      says: "error parsing regexp: missing closing ): `(`; namespace policy expression '(' permits nothing; correct the annotation iam.amazonaws.com/permitted of namespace red",
    },
    {
      annotated: "arn:x",
      says: 'pod red/pod: role "arn:x" is not an IAM role: expected a role name, path/name, or arn:<partition>:iam::<12-digit account>:role/<path/name>; correct the annotation iam.amazonaws.com/role',
    },
    {
      externalId: "§§",
      says: "the annotation iam.amazonaws.com/external-id must hold 2 to 1224 characters of letters, digits and +=,.@:/-_",
    },
  ];
  for (const { says, ...input } of sentences) {
    test(`says why and what to do: ${says.slice(0, 50)}…`, () => {
      const grant = decide(input);
      assert.equal(grant.outcome === "refused" && grant.reason, says);
    });
  }

  test("says what was found and what to do, in one line of bounded length", () => {
    const grant = decide({ permitted: `x\n${"y".repeat(9_000)}` });

    assert.ok(grant.outcome === "refused");
    assert.match(
      grant.reason,
      /^namespace policy expression 'x\\u000ay+… .*' forbids role 'arn:.*myrole'; change the annotation iam\.amazonaws\.com\/permitted of namespace red/,
    );
    assert.ok(grant.reason.length < 800);
  });

  test("never says the external ID, whatever is wrong with it", () => {
    for (const externalId of ["hunter2 ", "hunter2".repeat(200)]) {
      const grant = decide({ externalId });

      assert.ok(grant.outcome === "refused");
      assert.doesNotMatch(grant.reason, /hunter2/);
    }
  });

  test("answers (a+)+$ against a long role in linear time", { timeout: 2_000 }, () => {
    assert.equal(
      decide({ annotated: `${"a".repeat(60)}-`, permitted: "(a+)+$" }).outcome,
      "refused",
    );
    assert.equal(decide({ annotated: "a".repeat(64), permitted: ".*/(a+)+" }).outcome, "granted");
  });

  test("never throws, whatever is annotated, asked for and permitted", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (annotated, requested, permitted) => {
        assert.match(decide({ annotated, requested, permitted }).outcome, /^(?:granted|refused)$/);
      }),
    );
  });

  test("never grants more when anchored than when not", () => {
    const part = fc.constantFrom("a", "b", "|", "(", ")", ".*", "role/", "^", "$", "x", "arn");
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const permitted = parts.join("");
        if (decide({ annotated: "ab", permitted }).outcome === "granted") {
          assert.equal(decide({ annotated: "ab", permitted, strict: false }).outcome, "granted");
        }
      }),
    );
  });

  test("permits exactly the ARNs that alternatives write out, whatever stands before or after", () => {
    const role = fc.string({ unit: fc.constantFrom("a", "b", "-"), minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(role, fc.array(role, { minLength: 1, maxLength: 4 }), (annotated, roles) => {
        const permitted = roles.map((one) => `${BASE}${one}`).join("|");
        const isPermitted = roles.includes(annotated);
        for (const expression of [permitted, `(${permitted})`, `^(?:${permitted})$`]) {
          const { outcome } = decide({ annotated, permitted: expression });
          assert.equal(outcome === "granted", isPermitted, expression);
        }
      }),
    );
  });

  test("decides the same when an expression that compiles is wrapped", () => {
    const part = fc.constantFrom(
      "a",
      "b",
      "|",
      "(",
      ")",
      ".*",
      "role/",
      "^",
      "$",
      "(?i)",
      "A",
      "[",
      "]",
    );
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 8 }), fc.boolean(), (parts, strict) => {
        const permitted = parts.join("");
        const bare = decide({ annotated: "ab", permitted, strict });
        if (bare.outcome === "refused" && bare.code === "invalid_expression") return;
        const wrapped = decide({ annotated: "ab", permitted: `(?:${permitted})`, strict });
        assert.equal(wrapped.outcome, bare.outcome);
      }),
      { numRuns: 500 },
    );
  });
});
