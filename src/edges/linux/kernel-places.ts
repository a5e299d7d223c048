import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#core/clock.ts";
import type { KernelView, Place } from "#core/feed/local-truth.ts";
import { sharedLook } from "#core/shared-look.ts";
import {
  bridgePortOf,
  highestIndexOf,
  type Neighbour,
  parseArp,
  parseHostRoutes,
  parseHostRoutes6,
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
  readonly places: Map<string, Place | undefined>;
  readonly at: number;
}

/**
 * Where pods really are, read from the kernel's own tables under `/proc/net` and `/sys/class/net` of the node's network
 * namespace: a route to one address through one interface (routed networks), or a neighbour on a bridge and
 * the port behind which the bridge sees it. Knows no IPv6 neighbours: the kernel has no file of them.
 */
export class KernelPlaces implements KernelView {
  readonly #clock: Clock;
  readonly #procNet: string;
  readonly #classNet: string;
  readonly #next: Readonly<Record<4 | 6, () => Promise<Look>>>;
  readonly #last: Record<4 | 6, Look | undefined> = { 4: undefined, 6: undefined };
  /** Interfaces by bridge and number of the port, as they were found last: to be checked before use. */
  readonly #ports = new Map<string, string>();
  readonly #nextHighest: () => Promise<number | undefined>;

  constructor({ clock, signal, procNet, classNet }: KernelPlacesOptions) {
    this.#clock = clock;
    this.#procNet = procNet ?? "/proc/net";
    this.#classNet = classNet ?? "/sys/class/net";
    this.#next = {
      4: sharedLook(() => this.#look(4), { clock, signal, pauseMs: PAUSE_MS }),
      6: sharedLook(() => this.#look(6), { clock, signal, pauseMs: PAUSE6_MS }),
    };
    this.#nextHighest = sharedLook(() => highestIndexOf(this.#proc("igmp")), {
      clock,
      signal,
      pauseMs: HIGHEST_PAUSE_MS,
    });
  }

  async placeOf(address: string): Promise<Place | undefined> {
    return this.#placeIn(await this.#next[familyOf(address)](), address);
  }

  lastPlaceOf(address: string): Place | undefined {
    const family = familyOf(address);
    const last = this.#last[family];
    const isRecent = last !== undefined && Math.abs(this.#clock.now() - last.at) < LAST_MS;
    return this.#placeIn(isRecent ? last : this.#look(family), address);
  }

  highestIndex(): Promise<number | undefined> {
    return this.#nextHighest();
  }

  #look(family: 4 | 6): Look {
    const look = {
      routes:
        family === 4
          ? parseHostRoutes(this.#proc("route"))
          : parseHostRoutes6(this.#proc("ipv6_route")),
      neighbours: family === 4 ? parseArp(this.#proc("arp")) : new Map<string, Neighbour>(),
      places: new Map<string, Place | undefined>(),
      at: this.#clock.now(),
    };
    this.#last[family] = look;
    return look;
  }

  #placeIn({ routes, neighbours, places }: Look, address: string): Place | undefined {
    if (!places.has(address)) {
      places.set(address, this.#find(routes.get(address), neighbours.get(address)));
    }
    return places.get(address);
  }

  #find(routed: string | undefined, neighbour: Neighbour | undefined): Place | undefined {
    if (routed !== undefined) {
      return { interface: routed, hardwareAddress: undefined, index: this.#indexOf(routed) };
    }
    if (neighbour === undefined) return undefined;
    const port = this.#portOf(neighbour);
    return { ...neighbour, index: port === undefined ? undefined : this.#indexOf(port) };
  }

  /** The bridge's port that the neighbour is behind; undefined when the interface is no bridge. */
  #portOf({ interface: bridge, hardwareAddress }: Neighbour): string | undefined {
    const forwarding = orNothing(() => readFileSync(join(this.#classNet, bridge, "brforward")));
    const port = forwarding && bridgePortOf(forwarding, hardwareAddress);
    if (port === undefined) return undefined;
    const isIt = (name: string): boolean => Number(this.#class(name, "brport/port_no")) === port;
    const key = `${bridge} ${port}`;
    const known = this.#ports.get(key);
    if (known !== undefined && isIt(known)) return known;
    const found = orNothing(() => readdirSync(join(this.#classNet, bridge, "brif")))?.find(isIt);
    if (found !== undefined) this.#ports.set(key, found);
    return found;
  }

  #indexOf(name: string): number | undefined {
    const index = Number(this.#class(name, "ifindex"));
    return index > 0 ? index : undefined;
  }

  #proc(file: string): string {
    return orNothing(() => readFileSync(join(this.#procNet, file), "utf8")) ?? "";
  }

  #class(name: string, file: string): string {
    return orNothing(() => readFileSync(join(this.#classNet, name, file), "utf8")) ?? "";
  }
}

function familyOf(address: string): 4 | 6 {
  return address.includes(":") ? 6 : 4;
}

/** What can't be read is not there: another network namespace's folder, or an interface that is just going. */
function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
