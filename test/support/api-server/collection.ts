import type { KubernetesObject } from "../pods.ts";

/** A change of the collection, as a watch tells it. */
export interface WatchFrame {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: unknown;
}

interface Remembered extends WatchFrame {
  readonly version: number;
}

/** One page of a list; `next` is undefined on the last. */
export interface ListPage {
  readonly items: readonly KubernetesObject[];
  readonly version: number;
  readonly next: string | undefined;
  readonly remaining: number;
}

/** Hands out resource versions, which all collections share as they do in etcd. */
export class Versions {
  #last = 1_000;

  get last(): number {
    return this.#last;
  }

  next(): number {
    this.#last += 1;
    return this.#last;
  }
}

const SNAPSHOTS_MAX = 16;

/** Pods or namespaces, with the history that a watch resumes from. */
export class Collection {
  readonly kind: "Pod" | "Namespace";
  readonly #versions: Versions;
  readonly #historyMax: number;
  readonly #objects = new Map<string, KubernetesObject>();
  readonly #listeners = new Set<(frame: WatchFrame) => void>();
  /** What later pages of a begun list are taken from, by version. */
  readonly #snapshots = new Map<number, readonly KubernetesObject[]>();
  #history: Remembered[] = [];
  /** A watch from an older version can't be resumed. */
  #oldest = 0;

  constructor(kind: "Pod" | "Namespace", versions: Versions, historyMax: number) {
    this.kind = kind;
    this.#versions = versions;
    this.#historyMax = historyMax;
  }

  put(object: KubernetesObject): void {
    const key = keyOf(object.metadata);
    const known = this.#objects.get(key);
    const version = this.#versions.next();
    const stored = withVersion(object, version);
    this.#objects.set(key, stored);
    this.#tell({ type: known === undefined ? "ADDED" : "MODIFIED", object: stored, version });
  }

  remove(name: string, namespace?: string): void {
    const key = keyOf(namespace === undefined ? { name } : { name, namespace });
    const known = this.#objects.get(key);
    if (known === undefined) throw new Error(`there is no ${this.kind} ${key}`);
    this.#objects.delete(key);
    const version = this.#versions.next();
    this.#tell({ type: "DELETED", object: withVersion(known, version), version });
  }

  /** One page; undefined when what `next` continues has been forgotten. */
  list(limit: number, next: string | null): ListPage | undefined {
    const [version, start] = next === null ? [this.#versions.last, 0] : continued(next);
    const all = next === null ? [...this.#objects.values()] : this.#snapshots.get(version);
    if (all === undefined) return undefined;
    const end = limit > 0 ? Math.min(start + limit, all.length) : all.length;
    if (end < all.length) this.#remember(version, all);
    return {
      items: all.slice(start, end),
      version,
      next: end < all.length ? Buffer.from(`${version}:${end}`).toString("base64url") : undefined,
      remaining: all.length - end,
    };
  }

  /** What happened after `version`; undefined when that is no longer remembered. */
  since(version: number): readonly WatchFrame[] | undefined {
    return version < this.#oldest
      ? undefined
      : this.#history.filter((change) => change.version > version);
  }

  /** Tells every later change until the returned function is called. */
  listen(listener: (frame: WatchFrame) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A frame that tells only up to which version everything was said. */
  bookmark(): WatchFrame {
    return {
      type: "BOOKMARK",
      object: {
        kind: this.kind,
        apiVersion: "v1",
        metadata: { resourceVersion: String(this.#versions.last), creationTimestamp: null },
        ...(this.kind === "Pod"
          ? { spec: { containers: null }, status: {} }
          : { spec: {}, status: {} }),
      },
    };
  }

  /** Forgets the history and the begun lists, as etcd's compaction does. */
  compact(): void {
    this.#history = [];
    this.#snapshots.clear();
    // Its own version moves on, so that even a watcher that saw everything is too late.
    this.#oldest = this.#versions.next();
  }

  #tell(change: Remembered): void {
    this.#history.push(change);
    const forgotten = this.#history.length - this.#historyMax;
    if (forgotten > 0) {
      this.#oldest = this.#history[forgotten - 1]?.version ?? this.#oldest;
      this.#history = this.#history.slice(forgotten);
    }
    for (const listener of this.#listeners) listener({ type: change.type, object: change.object });
  }

  #remember(version: number, objects: readonly KubernetesObject[]): void {
    this.#snapshots.set(version, objects);
    const [oldest] = this.#snapshots.keys();
    if (this.#snapshots.size > SNAPSHOTS_MAX && oldest !== undefined)
      this.#snapshots.delete(oldest);
  }
}

function keyOf({
  name,
  namespace,
}: {
  readonly name: string;
  readonly namespace?: string;
}): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

function withVersion(object: KubernetesObject, version: number): KubernetesObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
}

function continued(token: string): [version: number, start: number] {
  const [version, start] = Buffer.from(token, "base64url").toString().split(":").map(Number);
  return [version ?? 0, start ?? 0];
}
