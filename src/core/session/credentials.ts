import type { Secret } from "../secret.ts";

/** What STS issued for one session. Instants are milliseconds since the Unix epoch. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  readonly sessionToken: Secret;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** Whether the credentials may still be served. Expired ones never are, whatever is down. */
export function areAlive(credentials: Credentials, now: number): boolean {
  return credentials.expiresAt > now;
}
