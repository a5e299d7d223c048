import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Neighbour } from "./proc-net.ts";
import { bridgePortOf } from "./proc-net.ts";

/**
 * Behind which of a bridge's interfaces a neighbour is, from `/sys/class/net`. Never synchronous: there a reader waits for
 * whoever makes or removes network namespaces, seconds while many pods start.
 */
export class BridgePorts {
  readonly #classNet: string;
  /** Interfaces by bridge and number of the port, as they were found last: to be checked before use. */
  readonly #found = new Map<string, string>();

  constructor(classNet: string) {
    this.#classNet = classNet;
  }

  /** The interface's name; undefined where the neighbour's interface is no bridge, or it has not seen the neighbour. */
  async portOf({ interface: bridge, hardwareAddress }: Neighbour): Promise<string | undefined> {
    const forwarding = await orNothing(readFile(join(this.#classNet, bridge, "brforward")));
    const port = forwarding && bridgePortOf(forwarding, hardwareAddress);
    if (port === undefined) return undefined;
    const key = `${bridge} ${port}`;
    const known = this.#found.get(key);
    if (known !== undefined && (await this.#numberOf(known)) === port) return known;
    for (const name of (await orNothing(readdir(join(this.#classNet, bridge, "brif")))) ?? []) {
      const number = await this.#numberOf(name);
      if (number !== undefined) this.#found.set(`${bridge} ${number}`, name);
    }
    return this.#found.get(key);
  }

  async #numberOf(name: string): Promise<number | undefined> {
    const path = join(this.#classNet, name, "brport", "port_no");
    const text = await orNothing(readFile(path, "utf8"));
    return text === undefined ? undefined : Number(text);
  }
}

/** What can't be read is not there: another network namespace's folder, or an interface that is just going. */
async function orNothing<T>(reading: Promise<T>): Promise<T | undefined> {
  return reading.catch(() => undefined);
}
