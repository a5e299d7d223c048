import type { AppError } from "../errors.ts";
import type { Credentials } from "../session/credentials.ts";

/** An answer of the metadata endpoint, before it meets HTTP. */
export interface MetadataAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export const TOKEN_HEADER = "x-aws-ec2-metadata-token";
export const TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds";

const HEADERS = {
  Server: "EC2ws",
  "Content-Type": "text/plain",
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
} as const;

/** Plain text, exactly these bytes. */
export function textAnswer(
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): MetadataAnswer {
  return { status, headers: { ...HEADERS, ...headers }, body };
}

/** A new session token. Clients in Go and Rust insist on the header. */
export function tokenAnswer(token: string, ttlSeconds: number): MetadataAnswer {
  return textAnswer(200, token, { [TTL_HEADER]: String(ttlSeconds) });
}

/** Credentials in the form and order that Kiam and the metadata service have. */
export function credentialsAnswer(credentials: Credentials): MetadataAnswer {
  return textAnswer(200, credentialsJson(credentials));
}

/** One line of JSON as Go's encoder writes it: fields in Kiam's order, `<>&` escaped. */
export function credentialsJson(credentials: Credentials): string {
  const json = JSON.stringify({
    Code: "Success",
    Type: "AWS-HMAC",
    AccessKeyId: credentials.accessKeyId,
    SecretAccessKey: credentials.secretAccessKey.reveal(),
    Token: credentials.sessionToken.reveal(),
    Expiration: instant(credentials.expiresAt),
    LastUpdated: instant(credentials.issuedAt),
  });
  const escaped = json.replaceAll(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return `${escaped}\n`;
}

/**
 * A refusal or failure. Both spellings are there because clients read different ones.
 *
 * A role that STS refuses for good is status 200 with a code and without keys, as the metadata
 * service does it: clients then say why and don't retry.
 */
export function failureAnswer(error: AppError, status: number, now: number): MetadataAnswer {
  const text =
    error.code === "sts_denied"
      ? { Code: "AssumeRoleUnauthorizedAccess", Message: error.message, LastUpdated: instant(now) }
      : { Code: error.code, Message: error.message, code: error.code, message: error.message };
  const later: Record<string, string> = error.retryable ? { "Retry-After": "1" } : {};
  return textAnswer(status, JSON.stringify(text), later);
}

/** `YYYY-MM-DDTHH:MM:SSZ`: the only form that every client takes. */
function instant(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
