import { type FSWatcher, watch } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Clock } from "#core/clock.ts";
import type { SandboxRecord } from "#core/feed/local-truth.ts";
import { sharedLook } from "#core/shared-look.ts";
import { parseCniResult, type RecordedSandbox } from "./cni-result.ts";

/** More results than any node has pods; what comes beyond is not looked at. */
const FILES_MAX = 4_096;
const FILE_BYTES_MAX = 65_536;
/** Without a watch the folder is listed for each question, and no more often than this. */
const LIST_PAUSE_MS = 20;
/** A folder that is not there is looked for again. */
const MISSING_MS = 1_000;
/** A watched folder is listed all the same, should the kernel have dropped news of it. */
const RELIST_MS = 10_000;

/** Where the records are. */
export interface CniResultsOptions {
  readonly folder: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Which pod has an address, by the node's own records: the cache of results that libcni, and so every
 * container runtime with it, writes before a pod's containers start and removes when its network is
 * taken down (containernetworking/cni, libcni/api.go). Reading it needs no right but to read the folder.
 *
 * Records are kept in memory, and a file is read once, when the kernel tells of it. A question waits for what was told
 * to be read. A connection's first request comes a turn of the event loop after the connection (`edges/http`), by when
 * every change that came before it has been told; later ones come from whoever made the connection. Only while the folder
 * can't be watched is it listed for each question; one that is not there knows nothing.
 */
export class CniResults implements Disposable {
  readonly #folder: string;
  readonly #sandboxes = new Map<string, RecordedSandbox>();
  readonly #byAddress = new Map<string, readonly RecordedSandbox[]>();
  readonly #changed = new Set<string>();
  readonly #clock: Clock;
  readonly #list: () => Promise<void>;
  #watcher: FSWatcher | undefined;
  #turn: Promise<void> | undefined;
  /** Everything that was told so far, read in the order in which it was told. */
  #reading: Promise<unknown> = Promise.resolve();
  /** How many readings have not ended. */
  #unread = 0;
  #listedAt = Number.NEGATIVE_INFINITY;
  /** Whether the folder is watched, and was listed since. */
  #isListed = false;
  #isMissing = false;

  constructor({ folder, clock, signal }: CniResultsOptions) {
    this.#folder = folder;
    this.#clock = clock;
    this.#list = sharedLook(() => this.#readAll(), { clock, pauseMs: LIST_PAUSE_MS, signal });
  }

  /** Every sandbox that has the address by the records, in its one spelling; none where nothing is recorded. */
  async at(address: string): Promise<readonly SandboxRecord[]> {
    if (this.#turn !== undefined) await this.#turn;
    if (this.#unread > 0) await this.#reading;
    const sinceMs = Math.abs(this.#clock.now() - this.#listedAt);
    if (!this.#isListed) {
      if (!this.#isMissing || sinceMs >= MISSING_MS) await this.#list();
    } else if (sinceMs >= RELIST_MS) {
      this.#list().catch(() => {});
    }
    return this.#byAddress.get(address) ?? [];
  }

  [Symbol.dispose](): void {
    this.#unwatch();
  }

  /** What the kernel tells in one turn is read together, and in this order with all else. */
  #turnEnd(): Promise<void> {
    this.#turn ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#turn = undefined;
        if (this.#changed.size > 0) {
          void this.#readInTurn([...this.#changed]);
          this.#changed.clear();
        }
        resolve();
      });
    });
    return this.#turn;
  }

  async #readAll(): Promise<void> {
    this.#listedAt = this.#clock.now();
    this.#watch();
    // What is told while it is listed may be newer than the list.
    const before = [...this.#sandboxes.keys()];
    const names = await readdir(this.#folder).catch(() => undefined);
    this.#isMissing = names === undefined;
    const present = new Set(names?.slice(0, FILES_MAX));
    for (const name of before) if (!present.has(name)) this.#keep(name, undefined);
    await this.#readInTurn([...present].filter((name) => !this.#sandboxes.has(name)));
    this.#isListed = this.#watcher !== undefined;
  }

  /** Behind what was told before, so that what a file said first never comes last. */
  #readInTurn(names: readonly string[]): Promise<unknown> {
    this.#unread += 1;
    this.#reading = this.#reading
      .then(() => Promise.all(names.map((name) => this.#read(name))))
      .finally(() => (this.#unread -= 1));
    return this.#reading;
  }

  async #read(name: string): Promise<void> {
    this.#keep(name, parseCniResult(await textOf(join(this.#folder, name))));
  }

  #keep(name: string, sandbox: RecordedSandbox | undefined): void {
    const before = this.#sandboxes.get(name);
    for (const address of before?.addresses ?? []) {
      const others = (this.#byAddress.get(address) ?? []).filter((other) => other !== before);
      if (others.length > 0) this.#byAddress.set(address, others);
      else this.#byAddress.delete(address);
    }
    this.#sandboxes.delete(name);
    if (sandbox === undefined || this.#sandboxes.size >= FILES_MAX) return;
    this.#sandboxes.set(name, sandbox);
    for (const address of new Set(sandbox.addresses)) {
      this.#byAddress.set(address, [...(this.#byAddress.get(address) ?? []), sandbox]);
    }
  }

  #watch(): void {
    if (this.#watcher !== undefined) return;
    try {
      const watcher = watch(this.#folder, { persistent: false }, (_event, name) => {
        // The folder itself, moved or removed: the watch goes with it.
        if (name === null || name === basename(this.#folder)) this.#unwatch();
        else this.#changed.add(name);
        void this.#turnEnd();
      });
      watcher.on("error", () => this.#unwatch());
      this.#watcher = watcher;
    } catch {
      // No folder yet, or no inotify left: without a watch it is listed for each question.
    }
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#isListed = false;
    this.#isMissing = false;
  }
}

/** The file's beginning; empty where there is none. Never waited for by the process: a busy disk may take long. */
async function textOf(path: string): Promise<string> {
  try {
    await using file = await open(path);
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(FILE_BYTES_MAX));
    return buffer.toString("utf8", 0, bytesRead);
  } catch {
    return "";
  }
}
