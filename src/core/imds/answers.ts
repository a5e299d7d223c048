import type { AppError } from "../errors.ts";
import { accountOf, type RoleArn } from "../role/role-arn.ts";
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

/**
 * A new session token. Clients in Go and Rust insist on the header; it comes first, since the rule that
 * limits these answers' hops looks for it there (`edges/linux/nft-ruleset.ts`).
 */
export function tokenAnswer(token: string, ttlSeconds: number): MetadataAnswer {
  return { status: 200, headers: { [TTL_HEADER]: String(ttlSeconds), ...HEADERS }, body: token };
}

/**
 * Credentials in the form and order that Kiam and the metadata service have; with `AccountId` at the
 * end where the role's ARN is given (specs: aws-clients.md §8).
 */
export function credentialsAnswer(credentials: Credentials, roleArn?: RoleArn): MetadataAnswer {
  return textAnswer(200, credentialsJson(credentials, roleArn));
}

/**
 * `iam/info` for the pod's own role. A role that is assumed has no instance profile, so the ARN is what
 * that of its namesake would be: clients read account and role from it. There is no ID to be given.
 */
export function infoAnswer(roleArn: RoleArn, { issuedAt }: Credentials): MetadataAnswer {
  const json = JSON.stringify({
    Code: "Success",
    LastUpdated: instant(issuedAt),
    InstanceProfileArn: roleArn.replace(":role/", ":instance-profile/"),
  });
  return textAnswer(200, json);
}

/** Lines without an ARN: nearly every request is for one that was written before. */
const WRITTEN = new WeakMap<Credentials, string>();

/** One line of JSON as Go's encoder writes it: fields in Kiam's order, `<>&` escaped. */
export function credentialsJson(credentials: Credentials, roleArn?: RoleArn): string {
  if (roleArn !== undefined) return writeJson(credentials, { AccountId: accountOf(roleArn) });
  const line = WRITTEN.get(credentials) ?? writeJson(credentials, {});
  WRITTEN.set(credentials, line);
  return line;
}

function writeJson(credentials: Credentials, more: Readonly<Record<string, string>>): string {
  const json = JSON.stringify({
    Code: "Success",
    Type: "AWS-HMAC",
    AccessKeyId: credentials.accessKeyId,
    SecretAccessKey: credentials.secretAccessKey.reveal(),
    Token: credentials.sessionToken.reveal(),
    Expiration: instant(credentials.expiresAt),
    LastUpdated: instant(credentials.issuedAt),
    ...more,
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
export function instant(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
