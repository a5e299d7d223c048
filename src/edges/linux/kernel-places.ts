import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#core/clock.ts";
import type { KernelView, Place } from "#core/feed/local-truth.ts";
import { sharedLook } from "#core/shared-look.ts";
import { BridgePorts } from "./bridge-ports.ts";
import {
  type Neighbour,
  parseArp,
  parseHostRoutes,
  parseHostRoutes6,
  parseIndexes,
} from "./proc-net.ts";

/** A look at 110 pods' routes and neighbours takes half a millisecond, at most a tenth of the time then. */
const PAUSE_MS = 5;
/** IPv6 routes are ten times as many, and as slow. */
const PAUSE6_MS = 50;
const HIGHEST_PAUSE_MS = 100;
const LAST_MS = 1_000;

/** Where the kernel tells of its network. */
export interface KernelPlacesOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** `/proc/net` when absent. */
  readonly procNet?: string;
  /** `/sys/class/net` when absent. */
  readonly classNet?: string;
}

/** One look: what was there at one moment. */
interface Look {
  readonly routes: ReadonlyMap<string, string>;
  readonly neighbours: ReadonlyMap<string, Neighbour>;
  readonly at: number;
}

/** A place as far as routes and neighbours tell of it. */
type Found = Omit<Place, "index">;

/**
 * Where pods really are, read from the kernel's own tables under `/proc/net` of the node's network namespace: a
 * route to one address through one interface (routed networks), or a neighbour on a bridge, and the port behind which
 * the bridge sees it. Knows no IPv6 neighbours: the kernel has no file of them.
 *
 * Files under `/proc/net` are read synchronously: reading takes no lock that another process could hold for long.
 */
export class KernelPlaces implements KernelView {
  readonly #clock: Clock;
  readonly #procNet: string;
  readonly #ports: BridgePorts;
  readonly #next: Readonly<Record<4 | 6, () => Promise<Look>>>;
  readonly #nextIndexes: () => Promise<ReadonlyMap<string, number>>;
  readonly #nextHighest: () => Promise<number | undefined>;
  readonly #last: Record<4 | 6, Look | undefined> = { 4: undefined, 6: undefined };

  constructor({ clock, signal, procNet, classNet }: KernelPlacesOptions) {
    this.#clock = clock;
    this.#procNet = procNet ?? "/proc/net";
    this.#ports = new BridgePorts(classNet ?? "/sys/class/net");
    const looking = { clock, signal, pauseMs: PAUSE_MS };
    this.#next = {
      4: sharedLook(() => this.#look(4), looking),
      6: sharedLook(() => this.#look(6), { ...looking, pauseMs: PAUSE6_MS }),
    };
    const indexes = (): ReadonlyMap<string, number> => parseIndexes(this.#read("igmp"));
    this.#nextIndexes = sharedLook(indexes, looking);
    this.#nextHighest = sharedLook(() => highest(indexes()), {
      ...looking,
      pauseMs: HIGHEST_PAUSE_MS,
    });
  }

  async placeOf(address: string): Promise<Place | undefined> {
    const place = found(await this.#next[familyOf(address)](), address);
    if (place === undefined) return undefined;
    const { interface: name, hardwareAddress } = place;
    const own =
      hardwareAddress === undefined
        ? name
        : await this.#ports.portOf({ interface: name, hardwareAddress });
    const indexes = await this.#nextIndexes();
    return { ...place, index: own === undefined ? undefined : indexes.get(own) };
  }

  lastPlaceOf(address: string): Found | undefined {
    const family = familyOf(address);
    const last = this.#last[family];
    const isRecent = last !== undefined && Math.abs(this.#clock.now() - last.at) < LAST_MS;
    return found(isRecent ? last : this.#look(family), address);
  }

  highestIndex(): Promise<number | undefined> {
    return this.#nextHighest();
  }

  #look(family: 4 | 6): Look {
    const at = this.#clock.now();
    const look: Look =
      family === 4
        ? {
            routes: parseHostRoutes(this.#read("route")),
            neighbours: parseArp(this.#read("arp")),
            at,
          }
        : { routes: parseHostRoutes6(this.#read("ipv6_route")), neighbours: new Map(), at };
    this.#last[family] = look;
    return look;
  }

  /** A file that can't be read tells nothing: a kernel without IPv6 has none of its. */
  #read(file: string): string {
    try {
      return readFileSync(join(this.#procNet, file), "utf8");
    } catch {
      return "";
    }
  }
}

function familyOf(address: string): 4 | 6 {
  return address.includes(":") ? 6 : 4;
}

function found({ routes, neighbours }: Look, address: string): Found | undefined {
  const routed = routes.get(address);
  return routed === undefined
    ? neighbours.get(address)
    : { interface: routed, hardwareAddress: undefined };
}

function highest(indexes: ReadonlyMap<string, number>): number | undefined {
  return indexes.size === 0 ? undefined : Math.max(...indexes.values());
}
