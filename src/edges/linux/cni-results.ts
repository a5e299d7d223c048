import { watch, type FSWatcher } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { normalizeAddress } from "#core/pod/address.ts";

/** More results than any node has pods; what comes beyond is not looked at. */
const FILES_MAX = 4_096;
const FILE_BYTES_MAX = 65_536;

/** One sandbox's place in the network, as its result says. */
interface Sandbox {
  readonly podUid: string;
  readonly addresses: readonly string[];
}

/**
 * Which pod has an address, by the node's own records: the cache of results that libcni, and so every
 * container runtime with it, writes before a pod's containers start and removes when its network is
 * taken down (containernetworking/cni, libcni/api.go). Reading it needs no right but to read the folder.
 *
 * A folder that is missing or can't be read knows nothing, and is tried again at each question.
 */
export class CniResults implements Disposable {
  readonly #folder: string;
  readonly #sandboxes = new Map<string, Sandbox>();
  readonly #podsBy = new Map<string, Set<string>>();
  #watcher: FSWatcher | undefined;
  #isStale = true;
  #reading: Promise<void> | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The UID of the pod that has the address; undefined when none is known, or more than one. */
  async podAt(address: string): Promise<string | undefined> {
    if (this.#isStale || !this.#podsBy.has(address)) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = undefined;
      });
      await this.#reading;
    }
    const [uid, ...others] = this.#podsBy.get(address) ?? [];
    return others.length === 0 ? uid : undefined;
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
  }

  async #read(): Promise<void> {
    this.#watch();
    // Before the reading: what changes meanwhile makes it stale again.
    this.#isStale = this.#watcher === undefined;
    const names = await readdir(this.#folder).catch(() => []);
    const present = new Set(names.slice(0, FILES_MAX));
    for (const name of this.#sandboxes.keys()) if (!present.has(name)) this.#sandboxes.delete(name);
    for (const name of present) {
      if (this.#sandboxes.has(name)) continue;
      const sandbox = await readResult(join(this.#folder, name));
      if (sandbox !== undefined) this.#sandboxes.set(name, sandbox);
    }
    this.#podsBy.clear();
    for (const { podUid, addresses } of this.#sandboxes.values()) {
      for (const address of addresses) {
        const pods = this.#podsBy.get(address) ?? new Set();
        this.#podsBy.set(address, pods.add(podUid));
      }
    }
  }

  #watch(): void {
    if (this.#watcher !== undefined) return;
    try {
      this.#watcher = watch(this.#folder, { persistent: false }, () => {
        this.#isStale = true;
      });
      this.#watcher.on("error", () => this.#unwatch());
    } catch {
      // No folder yet, or no inotify left: without a watch it is read at each question.
    }
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#isStale = true;
  }
}

/** Undefined for what is no result of a pod, or not whole yet. */
async function readResult(path: string): Promise<Sandbox | undefined> {
  try {
    await using file = await open(path);
    const { bytesRead, buffer } = await file.read(Buffer.alloc(FILE_BYTES_MAX));
    return parseResult(JSON.parse(buffer.toString("utf8", 0, bytesRead)));
  } catch {
    return undefined;
  }
}

/** What libcni keeps, as far as it is used; every field may be anything. */
interface CachedResult {
  readonly cniArgs?: readonly (readonly [string, string])[];
  readonly result?: {
    readonly ips?: readonly { readonly address?: string }[];
    /** CNI before 0.3.0. */
    readonly ip4?: { readonly ip?: string };
    readonly ip6?: { readonly ip?: string };
  };
}

function parseResult(parsed: unknown): Sandbox | undefined {
  const { cniArgs = [], result = {} } = parsed as CachedResult;
  const podUid = cniArgs.find(([name]) => name === "K8S_POD_UID")?.[1];
  if (typeof podUid !== "string" || podUid === "") return undefined;
  const ranges = [...(result.ips ?? []).map((ip) => ip.address), result.ip4?.ip, result.ip6?.ip];
  const addresses = ranges
    .filter((range) => typeof range === "string")
    .map((range) => normalizeAddress(range.replace(/\/\d+$/, "")));
  return { podUid, addresses };
}
