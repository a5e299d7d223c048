import type { AppError } from "../errors.ts";
import type { GivenCredentials } from "../feed/node-table.ts";
import { instant, type MetadataAnswer } from "../imds/answers.ts";
import { accountOf } from "../role/role-arn.ts";
import type { Credentials } from "../session/credentials.ts";

const HEADERS = {
  "Content-Type": "application/json",
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
} as const;

/** The path of EKS Pod Identity's agent, and no spelling of another: what is not it is the metadata endpoint's. */
const PATH = /^(?:https?:\/\/[^/?#]*)?\/v1\/credentials\/?(?:\?|$)/;

/** Whether a request target is the container credentials endpoint's. */
export function isContainerTarget(target: string): boolean {
  return PATH.test(target);
}

/** The token of an `Authorization` header: SDKs send it bare, people put `Bearer` before it. */
export function tokenOf(authorization: string | undefined): string | undefined {
  return authorization?.replace(/^Bearer(?: +|$)/i, "") || undefined;
}

/** Answers by credentials, which are of one role: nearly every request is for one that was written before. */
const WRITTEN = new WeakMap<Credentials, MetadataAnswer>();

/** Credentials in the form of the container credentials provider, with what AWS's own agents add. */
export function containerCredentials(given: GivenCredentials): MetadataAnswer {
  const answer = WRITTEN.get(given.credentials) ?? writeCredentials(given);
  WRITTEN.set(given.credentials, answer);
  return answer;
}

function writeCredentials({ credentials, roleArn }: GivenCredentials): MetadataAnswer {
  const json = JSON.stringify({
    AccessKeyId: credentials.accessKeyId,
    SecretAccessKey: credentials.secretAccessKey.reveal(),
    Token: credentials.sessionToken.reveal(),
    Expiration: instant(credentials.expiresAt),
    AccountId: accountOf(roleArn),
    RoleArn: roleArn,
  });
  return { status: 200, headers: HEADERS, body: json };
}

/** A refusal or failure, in both spellings: SDKs for Go and Java read one, for JavaScript the other. */
export function containerFailure(error: AppError, status: number): MetadataAnswer {
  const { code, message } = error;
  const body = JSON.stringify({ code, message, Code: code, Message: message });
  return {
    status,
    headers: error.retryable ? { ...HEADERS, "Retry-After": "1" } : HEADERS,
    body,
  };
}
