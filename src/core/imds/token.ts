import type { Clock } from "../clock.ts";

/** The bounds of a token's life in seconds, as the metadata service has them. */
export const TOKEN_TTL = { least: 1, most: 21_600 } as const;

export interface TokensOptions {
  /** A keyed MAC (HMAC-SHA-256) over the bytes. Whoever keeps the key keeps tokens valid. */
  readonly sign: (bytes: Uint8Array) => Uint8Array;
  readonly clock: Clock;
}

/**
 * Session tokens of IMDSv2 without a store: the expiry in clear, and a MAC over it and the address
 * it was issued to. They survive a restart when the same key is handed in again.
 */
export class Tokens {
  readonly #sign: (bytes: Uint8Array) => Uint8Array;
  readonly #clock: Clock;

  constructor({ sign, clock }: TokensOptions) {
    this.#sign = sign;
    this.#clock = clock;
  }

  /** A token for one source address. `ttlSeconds` is one that {@link parseTtl} returned. */
  issue(address: string, ttlSeconds: number): string {
    const expiresAt = (this.#clock.now() + ttlSeconds * 1_000).toString(36);
    return `${expiresAt}.${this.#mac(expiresAt, address)}`;
  }

  /** Whether the token was issued by this key to this address and still lives. */
  isValid(token: string, address: string): boolean {
    const parts = /^(?<expiresAt>[0-9a-z]{1,11})\.(?<mac>[0-9a-f]{1,128})$/.exec(token)?.groups;
    const { expiresAt = "", mac = "" } = parts ?? {};
    const isGenuine = areEqual(mac, this.#mac(expiresAt, address));
    return isGenuine && Number.parseInt(expiresAt, 36) > this.#clock.now();
  }

  #mac(expiresAt: string, address: string): string {
    // Neither part can contain the separator, so no two pairs give the same bytes.
    const bytes = new TextEncoder().encode(`imds-token\n${expiresAt}\n${address}`);
    return [...this.#sign(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }
}

/** The TTL that a PUT asks for, in seconds; undefined when it is missing, no integer or out of range. */
export function parseTtl(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,5}$/.test(header)) return undefined;
  const seconds = Number(header);
  return seconds >= TOKEN_TTL.least && seconds <= TOKEN_TTL.most ? seconds : undefined;
}

/** Compares in a time that depends on the length alone. */
function areEqual(left: string, right: string): boolean {
  let difference = left.length ^ right.length;
  for (let index = 0; index < right.length; index += 1) {
    difference |= left.charCodeAt(index) ^ right.charCodeAt(index);
  }
  return difference === 0;
}
