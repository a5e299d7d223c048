import assert from "node:assert/strict";
import type { ClientHttp2Session } from "node:http2";
import { after, before, describe, test } from "node:test";
import { AppError } from "#core/errors.ts";
import { Expressions } from "#core/policy/expression.ts";
import { Secret } from "#core/secret.ts";
import { compileRe2 } from "#runtime/re2-engine.ts";
import { systemClock } from "#runtime/system-clock.ts";
import { BASE_ARN } from "#test/fed-pod.ts";
import { knownPod } from "#test/known-pod.ts";
import { field, hex, type RawAnswer, rawCall, rpcWorld } from "#test/rpc.ts";
import { kiamHandlers } from "./service.ts";
import { wayOfData } from "./way-of-data.ts";

/** What Kiam's agents send (specification §3.1), and what its server answers. */
const CALLS: readonly {
  readonly what: string;
  readonly method: string;
  readonly request: string;
  /** The message, or the text of status Unknown. */
  readonly answer: { readonly message: string } | { readonly text: string };
}[] = [
  {
    what: "the role as annotated",
    method: "GetPodRole",
    request: "0a08" + hex("10.0.0.1"),
    answer: { message: "0a06" + hex("reader") },
  },
  {
    what: "an empty role for a pod that names none",
    method: "GetPodRole",
    request: "0a08" + hex("10.0.0.2"),
    answer: { message: "" },
  },
  {
    what: "the role of a pod whose namespace forbids it",
    method: "GetPodRole",
    request: "0a08" + hex("10.0.0.3"),
    answer: { message: "0a05" + hex("admin") },
  },
  {
    what: "nobody's role",
    method: "GetPodRole",
    request: "0a08" + hex("10.0.0.9"),
    answer: { text: "pod not found" },
  },
  {
    what: "the role of two pods at one address",
    method: "GetPodRole",
    request: "0a08" + hex("10.0.0.4"),
    answer: { text: "multiple running pods found" },
  },
  {
    what: "credentials",
    method: "GetPodCredentials",
    request: "0a08" + hex("10.0.0.1") + "1206" + hex("reader"),
    answer: {
      message:
        field("0a", "Success") +
        field("12", "AWS-HMAC") +
        field("1a", "ASIA1") +
        field("22", "secret") +
        field("2a", "token") +
        field("32", "2100-01-01T00:00:00Z") +
        field("3a", "2026-01-01T00:00:00Z"),
    },
  },
  {
    what: "credentials of nobody",
    method: "GetPodCredentials",
    request: "0a08" + hex("10.0.0.9") + "1206" + hex("reader"),
    answer: { text: "no pod found" },
  },
  {
    what: "credentials of another role than the annotated one",
    method: "GetPodCredentials",
    request: "0a08" + hex("10.0.0.1") + "1206" + hex("writer"),
    answer: { text: "forbidden by policy" },
  },
  {
    what: "credentials that the namespace forbids",
    method: "GetPodCredentials",
    request: "0a08" + hex("10.0.0.3") + "1205" + hex("admin"),
    answer: { text: "forbidden by policy" },
  },
  {
    what: "credentials that STS refuses",
    method: "GetPodCredentials",
    request: "0a08" + hex("10.0.0.5") + "1206" + hex("denied"),
    answer: { text: "AccessDenied: not for you" },
  },
  { what: "health", method: "GetHealth", request: "", answer: { message: "0a02" + hex("ok") } },
];

describe("Kiam's agents at this server, byte by byte", { timeout: 30_000 }, () => {
  let session: ClientHttp2Session;
  let world: Awaited<ReturnType<typeof rpcWorld>>;

  before(async () => {
    world = await rpcWorld();
    const { grants, sessions, feeds } = wayOfData({
      clock: systemClock,
      random: () => 0.5,
      signal: world.signal,
      sessions: {
        issue: async ({ role }) => {
          if (role.endsWith("denied"))
            throw new AppError("sts_denied", "AccessDenied: not for you");
          return {
            accessKeyId: "ASIA1",
            secretAccessKey: new Secret("secret"),
            sessionToken: new Secret("token"),
            issuedAt: Date.UTC(2026, 0, 1),
            expiresAt: Date.UTC(2100, 0, 1),
          };
        },
        observe: () => {},
        concurrencyMax: 8,
        queueMax: 100,
      },
      tokenKeys: () => undefined,
      epoch: "epoch-1",
      observeFeed: () => {},
    });
    grants.use({
      baseArn: BASE_ARN,
      expressions: new Expressions(compileRe2, { strict: true }),
      defaultSessionName: "kiam",
      durationSeconds: 3_600,
    });
    grants.applyNamespaces({
      type: "replaced",
      items: [
        {
          name: "shop",
          resourceVersion: "1",
          permitted: ".*(reader|writer|denied)",
          requireImdsv2: false,
        },
      ],
    });
    const pods = [
      { uid: "1", addresses: ["10.0.0.1"], role: "reader" },
      { uid: "2", addresses: ["10.0.0.2"] },
      { uid: "3", addresses: ["10.0.0.3"], role: "admin" },
      { uid: "4", addresses: ["10.0.0.4"], role: "reader" },
      { uid: "5", addresses: ["10.0.0.4"], role: "writer" },
      { uid: "6", addresses: ["10.0.0.5"], role: "denied" },
    ].map(knownPod);
    grants.applyPods({ type: "replaced", items: pods });
    const server = await world.serve(kiamHandlers({ grants, sessions, observe: () => {} }), {
      // The feed beside it changes nothing for Kiam's agents.
      follow: (node, held, signal) => feeds.follow(node, held, signal),
    });
    session = world.dial(server.port);
  });
  after(() => world[Symbol.asyncDispose]());

  for (const { what, method, request, answer } of CALLS) {
    test(`${method}: ${what}`, async () => {
      const got = await rawCall(
        session,
        `/kiam.KiamService/${method}`,
        Buffer.from(request, "hex"),
        { "grpc-timeout": "5S" },
      );
      assert.deepEqual(
        seen(got),
        "text" in answer ? { status: "2", ...answer } : { status: "0", ...answer },
      );
    });
  }
});

function seen({ headers, trailers, message }: RawAnswer): Record<string, unknown> {
  const status = trailers["grpc-status"] ?? headers["grpc-status"];
  const text = trailers["grpc-message"] ?? headers["grpc-message"];
  return status === "0" ? { status, message } : { status, text: decodeURIComponent(String(text)) };
}
