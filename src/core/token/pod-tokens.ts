import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { TOKEN_KEYS_MAX, type TokenKeys } from "../feed/token-keys.ts";
import { expired, hasExpired, invalid, readPodClaims, type PodToken } from "./pod-claims.ts";
import { parseSignedToken } from "./signed-token.ts";
import { fits, readTokenKey, type TokenAlgorithm, type TokenKey } from "./token-key.ts";

/** Whether a signature over a text is of one key. */
export type VerifySignature = (
  algorithm: TokenAlgorithm,
  signedText: string,
  signature: Uint8Array,
) => boolean;

export interface PodTokensOptions {
  readonly clock: Clock;
  /** The own node's name. */
  readonly node: string;
  /** How tokens are verified as of now; undefined while nobody has said so. */
  readonly keys: () => TokenKeys | undefined;
  /** Makes a key ready; undefined for one that can't be used. */
  readonly importKey: (key: TokenKey) => VerifySignature | undefined;
  /** A digest that nobody can find a second text for. */
  readonly digest: (text: string) => string;
  /** How many verified tokens are remembered; the oldest gives way. */
  readonly rememberedMax?: number;
}

interface ReadyKey {
  readonly key: TokenKey;
  readonly verify: VerifySignature;
}

/** A node has some hundred pods; each container may bring a token of its own, and each rotation one more. */
const REMEMBERED_MAX = 1_024;

/**
 * Verifies the projected service account tokens of the node's pods, without asking anybody.
 *
 * A token that was verified is remembered by its digest until its end, or until the keys change: what
 * a key signed is not believed for longer than the key is. That the pod still lives, only the pod table
 * can say.
 */
export class PodTokens {
  readonly #options: PodTokensOptions;
  readonly #rememberedMax: number;
  readonly #remembered = new Map<string, PodToken>();
  #keys: TokenKeys | undefined;
  #keysText = "";
  #byId: ReadonlyMap<string, ReadyKey> = new Map();

  constructor(options: PodTokensOptions) {
    this.#options = options;
    this.#rememberedMax = options.rememberedMax ?? REMEMBERED_MAX;
  }

  /** How many verified tokens are remembered. */
  get remembered(): number {
    return this.#remembered.size;
  }

  /**
   * The UID of the pod that a token is bound to.
   *
   * @throws {AppError} `token_invalid`, `token_expired`; `token_key_unknown` for a key that may be a new one,
   * `not_ready` before any keys came.
   */
  podUid(token: string): string {
    const keys = this.#currentKeys();
    const now = this.#options.clock.now();
    const digest = this.#options.digest(token);
    const known = this.#remembered.get(digest);
    if (known !== undefined && !hasExpired(known, now)) return known.podUid;
    if (known !== undefined) {
      this.#remembered.delete(digest);
      throw expired();
    }
    const verified = this.#verify(token, keys, now);
    this.#remember(digest, verified);
    return verified.podUid;
  }

  #verify(token: string, trusted: TokenKeys, now: number): PodToken {
    const parsed = parseSignedToken(token);
    if (parsed === undefined) throw invalid("is no signed service account token");
    const { algorithm, keyId, claims, signedText, signature } = parsed;
    const ready = this.#byId.get(keyId);
    if (ready === undefined) {
      throw new AppError("token_key_unknown", "The token is signed by a key that is not known.");
    }
    // What costs little goes first; of what is said before the signature was verified, nothing is used.
    const pod = readPodClaims(claims, { trusted, node: this.#options.node, now });
    if (!fits(ready.key, algorithm) || !ready.verify(algorithm, signedText, signature)) {
      throw invalid("has no genuine signature");
    }
    return pod;
  }

  #currentKeys(): TokenKeys {
    const keys = this.#options.keys();
    if (keys === undefined) {
      throw new AppError("not_ready", "The keys that tokens are verified with have not come yet.");
    }
    if (keys !== this.#keys) this.#use(keys);
    return keys;
  }

  #use(keys: TokenKeys): void {
    this.#keys = keys;
    const text = JSON.stringify(keys);
    // The same ones come anew with each server; importing keys costs more than a request.
    if (text === this.#keysText) return;
    this.#keysText = text;
    this.#remembered.clear();
    this.#byId = new Map(
      keys.keys.slice(0, TOKEN_KEYS_MAX).flatMap((text): [string, ReadyKey][] => {
        const key = readTokenKey(text);
        const verify = key && this.#options.importKey(key);
        return key === undefined || verify === undefined ? [] : [[key.kid, { key, verify }]];
      }),
    );
  }

  #remember(digest: string, token: PodToken): void {
    if (this.#remembered.size >= this.#rememberedMax) {
      const [oldest] = this.#remembered.keys();
      if (oldest !== undefined) this.#remembered.delete(oldest);
    }
    this.#remembered.set(digest, token);
  }
}
