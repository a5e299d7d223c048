import { AppError } from "../errors.ts";
import { type AddressDispute, type DisputeBetween, reasonOfDispute } from "./address-dispute.ts";
import type { PodAddresses } from "./pod-table.ts";
import type { KernelView, Place, SandboxRecord } from "./local-truth.ts";

/** More addresses than any node has pods. */
const DISPUTES_MAX = 4_096;

/** Whom the node itself gave an address to. */
export interface LocalOwner {
  readonly address: string;
  /** By the runtime's record; undefined where it has none. */
  readonly record: SandboxRecord | undefined;
  /** Where the address is; looked at only where no record says whose it is. Undefined where the kernel can't tell. */
  readonly place: Place | undefined;
}

/** The pod that a server says has an address. */
export interface ServersPod {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
}

export interface PlacesOptions {
  /** Every sandbox that has the address by the runtime's records. */
  readonly records: (address: string) => Promise<readonly SandboxRecord[]>;
  readonly kernel: KernelView;
  /** Told of each dispute when it begins. */
  readonly observe: (dispute: AddressDispute) => void;
}

/** What is known of an address that a server says a pod has. */
interface Learnt {
  /** The highest interface number at the time: a place that was made later is not what it speaks of. */
  readonly highest: Promise<number | undefined>;
  /** Where the pod was found when it was answered first. */
  place: Place | undefined;
}

/**
 * Who has an address now, by the node itself: the API, and all who follow it, are always late.
 *
 * The runtime's records name the pod. Where there is none, what a server says of an address holds for the place only
 * that the address had when it was said: the kernel numbers interfaces upwards, and every new sandbox has a
 * new one. When two of records, kernel and server disagree, nobody is right: a retryable refusal (design invariant 2).
 */
export class Places {
  readonly #options: PlacesOptions;
  /** By the pod's UID, then by address. */
  readonly #facts = new Map<string, ReadonlyMap<string, Learnt>>();
  /** Who dispute which address, so that a dispute is told of when it begins and not for each request. */
  readonly #disputes = new Set<string>();

  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  /** @throws {AppError} `pod_ambiguous` when the node's own records and its kernel disagree. */
  async ownerOf(address: string): Promise<LocalOwner> {
    const { records, kernel } = this.#options;
    const recorded = await records(address);
    if (recorded.length === 0) {
      return { address, record: undefined, place: await kernel.placeOf(address) };
    }
    const isOnePod = recorded.every(({ podUid }) => podUid === recorded[0]?.podUid);
    // A second ago the former pod may have been there: that settles nothing, for one or against another.
    const lately = isOnePod ? onlyPod(recorded, kernel.lastPlaceOf(address)) : undefined;
    const record = lately ?? onlyPod(recorded, await kernel.placeOf(address));
    if (record !== undefined) {
      this.#settle(address, "records", "record-and-kernel");
      return { address, record, place: undefined };
    }
    throw this.#dispute(
      isOnePod ? "record-and-kernel" : "records",
      address,
      recorded.map(({ podUid }) => podUid),
    );
  }

  /**
   * Takes over where a server says that some pods are now. An address that one of them had before keeps the time
   * when that was learnt.
   */
  learn(pods: Iterable<PodAddresses>): void {
    let highest: Promise<number | undefined> | undefined;
    for (const { uid, addresses } of pods) {
      const before = this.#facts.get(uid);
      const facts = new Map<string, Learnt>();
      for (const address of addresses) {
        const known = before?.get(address);
        if (known === undefined) highest ??= this.#options.kernel.highestIndex();
        facts.set(
          address,
          known ?? { highest: highest ?? Promise.resolve(undefined), place: undefined },
        );
      }
      if (facts.size === 0) this.#facts.delete(uid);
      else this.#facts.set(uid, facts);
    }
    // Nobody may ask before it is known.
    highest?.catch(() => {});
  }

  /**
   * Holds a server's word on whose an address is against the node.
   *
   * @throws {AppError} `pod_ambiguous` where a record names another pod, or, without a record, the pod was not
   *   yet at that place when the server's word came.
   */
  async confirm(local: LocalOwner, pod: ServersPod): Promise<void> {
    const { address, record, place } = local;
    if (record !== undefined) {
      if (!isNamedBy(record, pod)) throw this.#contradicted(address, record, [pod]);
      this.#settle(address, "server-and-record");
      return;
    }
    const fact = this.#facts.get(pod.uid)?.get(address);
    if (fact === undefined) return;
    const highest = await fact.highest;
    if (place === undefined && fact.place === undefined) return;
    if (isLater(place, highest) || (fact.place !== undefined && !isSame(fact.place, place))) {
      throw this.#dispute("server-and-kernel", address, [pod.uid]);
    }
    this.#settle(address, "server-and-kernel");
    fact.place = place?.index === undefined ? (fact.place ?? place) : place;
  }

  /** Tells of it where the pods that a server says have an address are all others than the record's. */
  compare({ address, record }: LocalOwner, claims: readonly ServersPod[]): void {
    if (record === undefined || claims.length === 0) return;
    if (!claims.some((pod) => isNamedBy(record, pod))) this.#contradicted(address, record, claims);
  }

  /** Whether nobody has agreed since; only requests find out. */
  stands({ between, address }: AddressDispute): boolean {
    return this.#disputes.has(`${between} ${address}`);
  }

  #contradicted(address: string, record: SandboxRecord, claims: readonly ServersPod[]): AppError {
    const uids = [record.podUid, ...claims.map(({ uid }) => uid)];
    return this.#dispute("server-and-record", address, uids);
  }

  #settle(address: string, ...between: readonly DisputeBetween[]): void {
    if (this.#disputes.size === 0) return;
    for (const each of between) this.#disputes.delete(`${each} ${address}`);
  }

  #dispute(between: DisputeBetween, address: string, podUids: readonly string[]): AppError {
    const dispute = { address, between, podUids: [...new Set(podUids)] };
    if (!this.stands(dispute)) {
      if (this.#disputes.size >= DISPUTES_MAX) this.#disputes.clear();
      this.#disputes.add(`${between} ${address}`);
      this.#options.observe(dispute);
    }
    return new AppError("pod_ambiguous", reasonOfDispute(dispute));
  }
}

/** The only pod whose records fit the place; undefined when none does, or several. */
function onlyPod(
  records: readonly SandboxRecord[],
  place: Omit<Place, "index"> | undefined,
): SandboxRecord | undefined {
  const fitting = records.filter((each) => !contradicts(each, place));
  const [record] = fitting;
  return fitting.every(({ podUid }) => podUid === record?.podUid) ? record : undefined;
}

/** A static pod's UID on its node is not the one in the API; its name is. */
function isNamedBy(record: SandboxRecord, { uid, namespace, name }: ServersPod): boolean {
  return record.podUid === uid || (record.namespace === namespace && record.name === name);
}

/** Only what a record names can be wrong: plugins need not name anything. */
function contradicts(
  { hostInterfaces, hardwareAddresses }: SandboxRecord,
  place: Omit<Place, "index"> | undefined,
): boolean {
  if (place === undefined) return false;
  return place.hardwareAddress === undefined
    ? hostInterfaces.length > 0 && !hostInterfaces.includes(place.interface)
    : hardwareAddresses.length > 0 && !hardwareAddresses.includes(place.hardwareAddress);
}

/** Whether the place was made after the kernel had numbered interfaces up to `highest`. */
function isLater(place: Place | undefined, highest: number | undefined): boolean {
  return place?.index !== undefined && highest !== undefined && place.index > highest;
}

/** A bridge forgets the port of who was silent for long; that alone is no other place. */
function isSame(one: Place, other: Place | undefined): boolean {
  return (
    one.interface === other?.interface &&
    one.hardwareAddress === other.hardwareAddress &&
    (one.index === undefined || other.index === undefined || one.index === other.index)
  );
}
