import { AppError } from "../errors.ts";
import { asRecord, asText, type JsonRecord } from "../json.ts";
import type { TokenKeys } from "../feed/token-keys.ts";

/** What a verified token says of its bearer. Instants are milliseconds since the Unix epoch. */
export interface PodToken {
  readonly podUid: string;
  readonly expiresAt: number;
}

/** What a token's claims are held against. */
export interface ClaimsContext {
  readonly trusted: Pick<TokenKeys, "issuer" | "audiences">;
  /** The own node's name. */
  readonly node: string;
  readonly now: number;
}

/** How far the clocks of the node and of the API server may be apart, milliseconds. */
export const CLOCK_LEEWAY_MS = 30_000;

/**
 * Reads the claims of a service account token that Kubernetes bound to a pod (KEP-1205, and KEP-4193 for
 * the node, which clusters before 1.30 don't say).
 *
 * @throws {AppError} `token_invalid` or `token_expired`; the sentence holds nothing of the token.
 */
export function readPodClaims(claims: JsonRecord, { trusted, node, now }: ClaimsContext): PodToken {
  if (claims["iss"] !== trusted.issuer) throw invalid("is of another issuer");
  if (!isMeantFor(claims["aud"], trusted.audiences)) throw invalid("is meant for another audience");
  const expiresAt = instant(claims["exp"]);
  if (expiresAt === undefined) throw invalid("has no end");
  for (const name of ["nbf", "iat"]) {
    const from = claims[name] === undefined ? 0 : (instant(claims[name]) ?? Infinity);
    if (from - CLOCK_LEEWAY_MS > now) throw invalid("is not valid yet");
  }
  if (hasExpired({ expiresAt }, now)) throw expired();
  const bound = asRecord(claims["kubernetes.io"]);
  const podUid = asText(asRecord(bound["pod"])["uid"]);
  if (podUid === "") throw invalid("is not bound to a pod");
  const boundNode = asRecord(bound["node"])["name"];
  if (boundNode !== undefined && boundNode !== node) throw invalid("is of a pod on another node");
  return { podUid, expiresAt };
}

/** Whether a token's time is over. */
export function hasExpired({ expiresAt }: Pick<PodToken, "expiresAt">, now: number): boolean {
  return expiresAt + CLOCK_LEEWAY_MS <= now;
}

/** The refusal of a token whose time is over. */
export function expired(): AppError {
  return new AppError("token_expired", "The token has expired.");
}

/** The refusal of a token, for a reason that reads on from "The token". */
export function invalid(reason: string): AppError {
  return new AppError("token_invalid", `The token ${reason}.`);
}

function isMeantFor(claim: unknown, audiences: readonly string[]): boolean {
  const named: readonly unknown[] = Array.isArray(claim) ? claim : [claim];
  return named.some((name) => typeof name === "string" && audiences.includes(name));
}

function instant(seconds: unknown): number | undefined {
  return typeof seconds === "number" && Number.isFinite(seconds) ? seconds * 1_000 : undefined;
}
