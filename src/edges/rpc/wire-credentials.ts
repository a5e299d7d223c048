import { create } from "@bufbuild/protobuf";
import { AppError } from "#core/errors.ts";
import { Secret } from "#core/secret.ts";
import type { Credentials } from "#core/session/credentials.ts";
import { CredentialsSchema } from "./gen/kiam/kiam_pb.ts";
import type { Credentials as WireCredentials } from "./gen/kiam/kiam_pb.ts";

/** Credentials as Kiam's agents pass them on to pods (specs: kiam.md §2.7, §3.1). */
export function credentialsToWire(credentials: Credentials): WireCredentials {
  return create(CredentialsSchema, {
    code: "Success",
    type: "AWS-HMAC",
    accessKeyId: credentials.accessKeyId,
    secretAccessKey: credentials.secretAccessKey.reveal(),
    token: credentials.sessionToken.reveal(),
    expiration: timestamp(credentials.expiresAt),
    lastUpdated: timestamp(credentials.issuedAt),
  });
}

/**
 * Credentials as a server sent them.
 *
 * @throws {AppError} `server_unavailable` when they can't be used.
 */
export function credentialsFromWire(wire: WireCredentials): Credentials {
  const expiresAt = Date.parse(wire.expiration);
  const missing = [
    wire.accessKeyId === "" && "access_key_id",
    wire.secretAccessKey === "" && "secret_access_key",
    wire.token === "" && "token",
    Number.isNaN(expiresAt) && "expiration",
  ].filter((name) => name !== false);
  if (missing.length > 0) {
    const message = `Cannot use the server's credentials: ${missing.join(", ")} missing or malformed`;
    throw new AppError("server_unavailable", message);
  }
  const issuedAt = Date.parse(wire.lastUpdated);
  return {
    accessKeyId: wire.accessKeyId,
    secretAccessKey: new Secret(wire.secretAccessKey),
    sessionToken: new Secret(wire.token),
    issuedAt: Number.isNaN(issuedAt) ? 0 : issuedAt,
    expiresAt,
  };
}

/** `YYYY-MM-DDTHH:MM:SSZ`, whole seconds, cut and not rounded: never later than the truth. */
function timestamp(instant: number): string {
  return `${new Date(instant).toISOString().slice(0, 19)}Z`;
}
