import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type MessageInitShape, create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { FeedMessage } from "#core/feed/feed-messages.ts";
import type { RoleArn } from "#core/role/role-arn.ts";
import { fedCredentials, fedPod } from "#test/fed-pod.ts";
import { feedMessageFromWire, feedMessageToWire } from "./feed-wire.ts";
import { FeedMessageSchema } from "./gen/rolecall/v1/node_feed_pb.ts";

/** What arrives at the other end. */
const sent = (message: FeedMessage): FeedMessage | undefined =>
  feedMessageFromWire(
    fromBinary(FeedMessageSchema, toBinary(FeedMessageSchema, feedMessageToWire(message))),
  );

const roleArn = "arn:aws:iam::123456789012:role/reader" as RoleArn;
const MESSAGES: readonly FeedMessage[] = [
  { type: "snapshot" },
  { type: "pod", pod: fedPod() },
  {
    type: "pod",
    pod: fedPod({
      addresses: ["10.0.0.1", "fd00::1"],
      hostNetwork: true,
      isStatic: true,
      deleting: true,
      requireImdsv2: true,
      role: "reader",
      grant: { outcome: "granted", roleArn, session: 7 },
    }),
  },
  {
    type: "pod",
    pod: fedPod({
      role: "",
      grant: { outcome: "refused", code: "namespace_forbids", reason: "why" },
    }),
  },
  { type: "pod-gone", uid: "uid-1" },
  {
    type: "session",
    id: 7,
    session: { outcome: "failed", code: "sts_denied", reason: "AccessDenied: no" },
  },
  { type: "token-keys", tokenKeys: { issuer: "https://i", audiences: ["a"], keys: ["{}"] } },
  { type: "in-sync", position: { epoch: "e", revision: 2 ** 40 }, baseArn: "arn:" },
  { type: "heartbeat" },
  { type: "drain" },
];

describe("a feed message on the wire", () => {
  for (const [at, message] of MESSAGES.entries()) {
    test(`arrives as it was sent: ${message.type} (${at})`, () => {
      assert.deepEqual(sent(message), message);
    });
  }

  test("brings credentials", () => {
    const credentials = fedCredentials("AKIA", Date.UTC(2026, 0, 1));
    const arrived = sent({ type: "session", id: 1, session: { outcome: "issued", credentials } });
    assert.ok(arrived?.type === "session" && arrived.session.outcome === "issued");
    const { secretAccessKey, sessionToken, ...plain } = arrived.session.credentials;
    assert.deepEqual(plain, { accessKeyId: "AKIA", issuedAt: 0, expiresAt: Date.UTC(2026, 0, 1) });
    assert.deepEqual([secretAccessKey.reveal(), sessionToken.reveal()], ["secret", "token"]);
  });

  test("has addresses in their one spelling", () => {
    const arrived = sent({ type: "pod", pod: fedPod({ addresses: ["FD00:0::1"] }) });
    assert.deepEqual(arrived?.type === "pod" && arrived.pod.addresses, ["fd00::1"]);
  });

  test("holds no text that is longer than a role can be, or that can't be encoded", () => {
    const arrived = sent({ type: "pod", pod: fedPod({ role: `\ud800${"a".repeat(100_000)}` }) });
    assert.ok(arrived?.type === "pod");
    assert.equal(arrived.pod.role?.length, 2_048);
  });

  test("is passed over when this version does not know it", () => {
    const later = fromBinary(FeedMessageSchema, Uint8Array.of(0xfa, 0x01, 0x00));
    assert.equal(feedMessageFromWire(later), undefined);
  });

  test("with a code that this version does not know is a passing failure", () => {
    const failure = { code: "of_tomorrow", reason: "why" };
    const body = {
      case: "session" as const,
      value: { id: 1, outcome: { case: "failure" as const, value: failure } },
    };
    const arrived = feedMessageFromWire(create(FeedMessageSchema, { body }));
    assert.ok(arrived?.type === "session" && arrived.session.outcome === "failed");
    assert.equal(arrived.session.code, "internal");
  });

  test("that is not whole is refused", () => {
    const bodies: readonly NonNullable<MessageInitShape<typeof FeedMessageSchema>["body"]>[] = [
      { case: "pod", value: {} },
      { case: "session", value: { id: 1 } },
      {
        case: "session",
        value: { id: 1, outcome: { case: "credentials", value: { accessKeyId: "a" } } },
      },
      { case: "inSync", value: {} },
    ];
    for (const body of bodies) {
      assert.throws(() => feedMessageFromWire(create(FeedMessageSchema, { body })), {
        code: "server_unavailable",
      });
    }
  });
});
