import type { Clock } from "../clock.ts";
import { areAlive, type Credentials } from "../session/credentials.ts";

/** An address, and whom the node gave it to when it was asked about; undefined where it could not tell. */
export interface Owner {
  readonly address: string;
  readonly podUid: string | undefined;
}

export interface HeldAnswersOptions {
  readonly clock: Clock;
  /** How long an answer is fresh after the server gave it, in milliseconds. */
  readonly freshMs: number;
  /** How many addresses are held; the oldest gives way. */
  readonly addressesMax: number;
  readonly onEvicted: (address: string) => void;
}

interface Held {
  credentials: Credentials;
  checkedAt: number;
}

interface Entry {
  /** Whom the node gave the address to when this was learnt; undefined where it could not tell. */
  podUid: string | undefined;
  /** Where the address was when nobody could tell; undefined where that was not known either. */
  place: string | undefined;
  role: { readonly name: string; readonly checkedAt: number } | undefined;
  readonly credentials: Map<string, Held>;
  /** The latest taking that touched it: an answer that was asked for before is not kept. */
  takenAt: number;
}

/** A pod has one role; a name and its full ARN may both be asked for. */
const ROLES_PER_ADDRESS_MAX = 4;

/** What the agent holds, address by address, and what was taken away again before which question. */
export class HeldAnswers {
  readonly #options: HeldAnswersOptions;
  readonly #entries = new Map<string, Entry>();
  /** Counts every taking away, whatever the address, so that each is before or after each question. */
  #takings = 0;
  /** The latest taking that touched an address whose entry is gone. */
  #takenAtGone = 0;

  constructor(options: HeldAnswersOptions) {
    this.#options = options;
  }

  /** How many addresses are held. */
  get size(): number {
    return this.#entries.size;
  }

  /** The present moment in the order of takings and questions. */
  get moment(): number {
    return this.#takings;
  }

  /** Where the address was when it was last told; undefined where the node could not tell. */
  placeOf(address: string): string | undefined {
    return this.#entries.get(address)?.place;
  }

  /** A role is only worth repeating while it is fresh or credentials for it are still held. */
  role(address: string): string | undefined {
    const role = this.#entries.get(address)?.role;
    if (role === undefined) return undefined;
    if (this.#isFresh(role.checkedAt)) return role.name;
    return this.credentials(address, role.name) === undefined ? undefined : role.name;
  }

  isRoleFresh(address: string): boolean {
    return this.#isFresh(this.#entries.get(address)?.role?.checkedAt);
  }

  /** Undefined once they have expired. */
  credentials(address: string, role: string): Credentials | undefined {
    const credentials = this.#entries.get(address)?.credentials.get(role)?.credentials;
    return credentials !== undefined && areAlive(credentials, this.#options.clock.now())
      ? credentials
      : undefined;
  }

  areCredentialsFresh(address: string, role: string): boolean {
    return this.#isFresh(this.#entries.get(address)?.credentials.get(role)?.checkedAt);
  }

  /** Keeps the answer to a question of that moment, unless something was taken away there since. */
  holdRole({ address, podUid }: Owner, name: string, askedAt: number): void {
    if (!this.#isUntouched(address, askedAt)) return;
    const entry = this.#entry(address);
    entry.podUid = podUid ?? entry.podUid;
    entry.role = { name, checkedAt: this.#options.clock.now() };
    for (const role of entry.credentials.keys()) {
      // Another role is another pod, or a changed annotation: what it had is not this pod's.
      if (role !== name) this.forgetRole(address, role);
    }
  }

  /** Keeps the answer to a question of that moment, unless something was taken away there since. */
  holdCredentials(
    { address, podUid }: Owner,
    role: string,
    { credentials, askedAt }: { readonly credentials: Credentials; readonly askedAt: number },
  ): void {
    if (!this.#isUntouched(address, askedAt)) return;
    const entry = this.#entry(address);
    entry.podUid = podUid ?? entry.podUid;
    const held = entry.credentials;
    held.delete(role);
    const oldest = held.keys().next().value;
    if (held.size >= ROLES_PER_ADDRESS_MAX && oldest !== undefined) held.delete(oldest);
    held.set(role, { credentials, checkedAt: this.#options.clock.now() });
  }

  /**
   * What was learnt of the address' former owner is not the present one's (design invariant 2), and what
   * was asked for the former one comes too late to be kept.
   */
  leaveTo({ address, podUid }: Owner, place?: string): void {
    const entry = this.#entries.get(address);
    const hasMoved = place !== undefined && entry?.place !== undefined && entry.place !== place;
    const isAnother = entry?.podUid !== podUid;
    // What was learnt while the node could not tell may well be this pod's, and what it told of one pod only that one's.
    const wasTold = entry === undefined || entry.podUid !== undefined;
    if (hasMoved || (isAnother && wasTold)) this.forget(address);
    if (place === undefined && !isAnother) return;
    const left = this.#entry(address);
    left.podUid = podUid;
    left.place = place ?? left.place;
  }

  forgetRole(address: string, role: string): void {
    const entry = this.#entry(address);
    entry.credentials.delete(role);
    entry.takenAt = this.#takings += 1;
  }

  forget(address: string): void {
    const entry = this.#entry(address);
    entry.role = undefined;
    entry.credentials.clear();
    entry.takenAt = this.#takings += 1;
  }

  /** Forgets what can no longer be served. */
  sweep(): void {
    for (const [address, entry] of this.#entries) {
      for (const [role, { credentials }] of entry.credentials) {
        if (!areAlive(credentials, this.#options.clock.now())) entry.credentials.delete(role);
      }
      if (entry.credentials.size === 0 && !this.#isFresh(entry.role?.checkedAt)) {
        this.#drop(address, entry);
      }
    }
  }

  #isFresh(checkedAt: number | undefined): boolean {
    const { clock, freshMs } = this.#options;
    return checkedAt !== undefined && clock.now() - checkedAt < freshMs;
  }

  /** The entry of an address, now the youngest one. The oldest gives way when the table is full. */
  #entry(address: string): Entry {
    const entry = this.#entries.get(address) ?? {
      podUid: undefined,
      place: undefined,
      role: undefined,
      credentials: new Map<string, Held>(),
      takenAt: this.#takenAtGone,
    };
    this.#entries.delete(address);
    this.#entries.set(address, entry);
    const [oldest] = this.#entries;
    if (this.#entries.size > this.#options.addressesMax && oldest !== undefined) {
      this.#drop(...oldest);
      this.#options.onEvicted(oldest[0]);
    }
    return entry;
  }

  #drop(address: string, { takenAt }: Entry): void {
    this.#entries.delete(address);
    // Answers may still be on their way to it, and must not come after what took it away.
    this.#takenAtGone = Math.max(this.#takenAtGone, takenAt);
  }

  /** Whether nothing was taken away at the address since a question was asked. */
  #isUntouched(address: string, askedAt: number): boolean {
    return (this.#entries.get(address)?.takenAt ?? this.#takenAtGone) <= askedAt;
  }
}
