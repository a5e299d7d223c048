import type { Clock } from "../clock.ts";

/** The bounds of a token's life in seconds, as the metadata service has them. */
export const TOKEN_TTL = { least: 1, most: 21_600 } as const;

/** A keyed MAC over a text (HMAC-SHA-256), as 43 characters of base64url. */
export type Mac = (text: string) => string;

/** Whom a token is for: the address that asks, and its pod where that is known. */
export interface TokenHolder {
  readonly address: string;
  readonly podUid: string | undefined;
}

export interface TokensOptions {
  /** The first one signs, each one verifies. Whoever keeps a key keeps its tokens valid. */
  readonly macs: () => readonly [Mac, ...Mac[]];
  readonly clock: Clock;
}

/** Tokens whose MAC was found genuine; the oldest gives way, and is computed again. */
const GENUINE_MAX = 1_024;
/** How long a pod that becomes known may use what its address was issued before. */
const SETTLING_MS = 300_000;
const TOKEN =
  /^(?<issuedAt>[0-9a-z]{1,9})\.(?<ttl>[0-9a-z]{1,4})\.(?<podUid>[\w-]{0,128})\.(?<mac>[\w-]{43})$/;
const UID = /^[\w-]{1,128}$/;

/**
 * Session tokens of IMDSv2 without a store: moment of issue, life and pod UID in clear, and a MAC over
 * them and the address. They survive a restart when the same key is handed in again.
 *
 * A token is for one pod at one address, so that the next pod at the address cannot use it. While it is
 * not known whose the address is, it is for the address alone: that pod, once it is known, uses it for
 * five minutes more.
 */
export class Tokens {
  readonly #macs: TokensOptions["macs"];
  readonly #clock: Clock;
  /** By token, the address that it is genuine for: true for as long as the token lives. */
  readonly #genuine = new Map<string, string>();

  constructor({ macs, clock }: TokensOptions) {
    this.#macs = macs;
    this.#clock = clock;
  }

  /** A token that lives for `ttlSeconds`, which {@link parseTtl} returned. */
  issue({ address, podUid = "" }: TokenHolder, ttlSeconds: number): string {
    const claims = [
      this.#clock.now().toString(36),
      ttlSeconds.toString(36),
      // What Kubernetes would never give as a UID is as good as none.
      UID.test(podUid) ? podUid : "",
    ].join(".");
    return `${claims}.${this.#macs()[0](signed(claims, address))}`;
  }

  /** Whether the token was issued to this holder by one of the keys, and still lives. */
  isValid(token: string, { address, podUid }: TokenHolder): boolean {
    const claims = TOKEN.exec(token)?.groups;
    if (claims === undefined) return false;
    const age = this.#clock.now() - Number.parseInt(claims["issuedAt"] ?? "", 36);
    if (age >= Number.parseInt(claims["ttl"] ?? "", 36) * 1_000) return false;
    const isTheirs =
      podUid === undefined ||
      claims["podUid"] === podUid ||
      (claims["podUid"] === "" && age < SETTLING_MS);
    return isTheirs && this.#isGenuine(token, address);
  }

  #isGenuine(token: string, address: string): boolean {
    if (this.#genuine.get(token) === address) return true;
    const end = token.lastIndexOf(".");
    const text = signed(token.slice(0, end), address);
    if (!this.#macs().some((mac) => areEqual(token.slice(end + 1), mac(text)))) return false;
    const [oldest] = this.#genuine.keys();
    if (this.#genuine.size >= GENUINE_MAX && oldest !== undefined) this.#genuine.delete(oldest);
    this.#genuine.set(token, address);
    return true;
  }
}

/** The TTL that a PUT asks for, in seconds; undefined when it is missing, no integer or out of range. */
export function parseTtl(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,5}$/.test(header)) return undefined;
  const seconds = Number(header);
  return seconds >= TOKEN_TTL.least && seconds <= TOKEN_TTL.most ? seconds : undefined;
}

/** Neither part can contain the separator, so no two pairs give the same text. */
function signed(claims: string, address: string): string {
  return `imds-token\n${claims}\n${address}`;
}

/** Compares in a time that depends on the length alone. */
function areEqual(left: string, right: string): boolean {
  let difference = left.length ^ right.length;
  for (let index = 0; index < right.length; index += 1) {
    difference |= left.charCodeAt(index) ^ right.charCodeAt(index);
  }
  return difference === 0;
}
