import type { Clock } from "#core/clock.ts";
import type { Secret } from "#core/secret.ts";

/** Who asks the API server, and whom it must prove to be. PEM texts. */
export interface Identity {
  readonly token: Secret | undefined;
  readonly authority: string | undefined;
  readonly certificate: string | undefined;
  readonly key: Secret | undefined;
}

/** How long files are taken for unchanged, milliseconds (client-go uses the same for tokens). */
const REREAD_MS = 10_000;

/** Reads an identity from its files again and again, since the kubelet rotates them. */
export class Identities {
  readonly #read: () => Promise<Identity>;
  readonly #clock: Clock;
  #held: Identity | undefined;
  #readAt = 0;

  constructor(read: () => Promise<Identity>, clock: Clock) {
    this.#read = read;
    this.#clock = clock;
  }

  /** The identity as of at most 10 s ago. Files that can't be read leave the one before in use. */
  async current(): Promise<Identity> {
    const now = this.#clock.now();
    const fresh = now - this.#readAt < REREAD_MS && now >= this.#readAt;
    if (this.#held !== undefined && fresh) return this.#held;
    return this.reread();
  }

  /** The identity as it is in its files now. */
  async reread(): Promise<Identity> {
    try {
      this.#held = await this.#read();
      this.#readAt = this.#clock.now();
      return this.#held;
    } catch (error) {
      // A rotation may be caught half-way; the next reading repairs it.
      if (this.#held === undefined) throw error;
      return this.#held;
    }
  }
}
