import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { AppError, ERRORS, type ErrorCode } from "#core/errors.ts";
import type { FedGrant, FedPod } from "#core/feed/fed-pod.ts";
import type { FedSession, FeedMessage } from "#core/feed/feed-messages.ts";
import { normalizeAddress } from "#core/pod/address.ts";
import type { RoleArn } from "#core/role/role-arn.ts";
import { Secret } from "#core/secret.ts";
import type { Credentials } from "#core/session/credentials.ts";
import { FeedMessageSchema } from "./gen/rolecall/v1/node_feed_pb.ts";
import type {
  Credentials as WireCredentials,
  CredentialsSchema,
  FeedMessage as WireMessage,
  Pod as WirePod,
  PodSchema,
  Refused as WireRefused,
  Session as WireSession,
  SessionSchema,
} from "./gen/rolecall/v1/node_feed_pb.ts";

/** The longest text that travels, in characters: no role that can be granted is longer. */
const TEXT_CHARS_MAX = 2_048;

type Body = NonNullable<MessageInitShape<typeof FeedMessageSchema>["body"]>;

/** A message as it goes on the wire; this is where credentials leave the server. */
export function feedMessageToWire(message: FeedMessage): WireMessage {
  return create(FeedMessageSchema, { body: bodyOf(message) });
}

/**
 * A message as a server sent it; undefined for one that this version does not know, which is passed over.
 *
 * @throws {AppError} `server_unavailable` when it can't be used.
 */
export function feedMessageFromWire({ body }: WireMessage): FeedMessage | undefined {
  switch (body.case) {
    case "snapshot":
    case "heartbeat":
    case "drain":
      return { type: body.case };
    case "pod":
      return { type: "pod", pod: podFromWire(body.value) };
    case "podGone":
      return { type: "pod-gone", uid: body.value.uid };
    case "session":
      return { type: "session", id: body.value.id, session: sessionFromWire(body.value) };
    case "tokenKeys": {
      const { issuer, audiences, keys } = body.value;
      return { type: "token-keys", tokenKeys: { issuer, audiences, keys } };
    }
    case "inSync": {
      const { position, baseArn } = body.value;
      if (position === undefined) throw unusable("in_sync without a position");
      const { epoch, revision } = position;
      return { type: "in-sync", position: { epoch, revision: Number(revision) }, baseArn };
    }
    case undefined:
      return undefined;
  }
}

function bodyOf(message: FeedMessage): Body {
  switch (message.type) {
    case "snapshot":
    case "heartbeat":
    case "drain":
      return { case: message.type, value: {} };
    case "pod":
      return { case: "pod", value: podToWire(message.pod) };
    case "pod-gone":
      return { case: "podGone", value: { uid: message.uid } };
    case "session":
      return { case: "session", value: { id: message.id, ...sessionToWire(message.session) } };
    case "token-keys": {
      const { issuer, audiences, keys } = message.tokenKeys;
      return {
        case: "tokenKeys",
        value: { issuer, audiences: [...audiences], keys: [...keys] },
      };
    }
    case "in-sync": {
      const { position, baseArn } = message;
      const { epoch, revision } = position;
      return {
        case: "inSync",
        value: { position: { epoch, revision: BigInt(revision) }, baseArn },
      };
    }
  }
}

function podToWire(pod: FedPod): MessageInitShape<typeof PodSchema> {
  const { addresses, role, grant, ...plain } = pod;
  return {
    ...plain,
    addresses: [...addresses],
    ...(role === undefined ? {} : { role: presentable(role) }),
    ...grantToWire(grant),
  };
}

function grantToWire(grant: FedGrant): Pick<MessageInitShape<typeof PodSchema>, "grant"> {
  switch (grant.outcome) {
    case "none":
      return {};
    case "granted": {
      const { roleArn, session } = grant;
      return { grant: { case: "granted", value: { roleArn, session } } };
    }
    case "refused":
      return { grant: { case: "refused", value: refusedToWire(grant) } };
  }
}

function sessionToWire(
  session: FedSession,
): Pick<MessageInitShape<typeof SessionSchema>, "outcome"> {
  return session.outcome === "issued"
    ? { outcome: { case: "credentials", value: credentialsToWire(session.credentials) } }
    : { outcome: { case: "failure", value: refusedToWire(session) } };
}

function credentialsToWire(credentials: Credentials): MessageInitShape<typeof CredentialsSchema> {
  return {
    accessKeyId: credentials.accessKeyId,
    secretAccessKey: credentials.secretAccessKey.reveal(),
    sessionToken: credentials.sessionToken.reveal(),
    issuedAt: BigInt(credentials.issuedAt),
    expiresAt: BigInt(credentials.expiresAt),
  };
}

function refusedToWire({ code, reason }: { readonly code: ErrorCode; readonly reason: string }): {
  readonly code: string;
  readonly reason: string;
} {
  return { code, reason: presentable(reason) };
}

function podFromWire(wire: WirePod): FedPod {
  const { uid, namespace, name, hostNetwork, isStatic, deleting, requireImdsv2, role } = wire;
  if (uid === "") throw unusable("a pod without UID");
  return {
    uid,
    namespace,
    name,
    addresses: wire.addresses.map(normalizeAddress),
    hostNetwork,
    isStatic,
    deleting,
    requireImdsv2,
    role,
    grant: grantFromWire(wire.grant),
  };
}

function grantFromWire(grant: WirePod["grant"]): FedGrant {
  switch (grant.case) {
    case "granted": {
      const { roleArn, session } = grant.value;
      if (roleArn === "") throw unusable("a grant without role");
      return { outcome: "granted", roleArn: roleArn as RoleArn, session };
    }
    case "refused":
      return { outcome: "refused", ...refusedFromWire(grant.value) };
    case undefined:
      return { outcome: "none" };
  }
}

function sessionFromWire({ outcome }: WireSession): FedSession {
  switch (outcome.case) {
    case "credentials":
      return { outcome: "issued", credentials: credentialsFromWire(outcome.value) };
    case "failure":
      return { outcome: "failed", ...refusedFromWire(outcome.value) };
    case undefined:
      throw unusable("a session without outcome");
  }
}

function credentialsFromWire(wire: WireCredentials): Credentials {
  const { accessKeyId, secretAccessKey, sessionToken } = wire;
  if (accessKeyId === "" || secretAccessKey === "" || sessionToken === "") {
    throw unusable("credentials that are not whole");
  }
  return {
    accessKeyId,
    secretAccessKey: new Secret(secretAccessKey),
    sessionToken: new Secret(sessionToken),
    issuedAt: Number(wire.issuedAt),
    expiresAt: Number(wire.expiresAt),
  };
}

function refusedFromWire({ code, reason }: WireRefused): {
  readonly code: ErrorCode;
  readonly reason: string;
} {
  const known = Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : "internal";
  return { code: known, reason: presentable(reason) };
}

/** Encoding lone surrogates throws, and an endless text would not fit a message. */
function presentable(text: string): string {
  return text.slice(0, TEXT_CHARS_MAX).toWellFormed();
}

function unusable(what: string): AppError {
  return new AppError("server_unavailable", `Cannot use the server's feed: ${what}`);
}
