import type { Change } from "../watch/change.ts";
import type { Namespace } from "./pod.ts";

/** Every namespace of the cluster, by name. */
export class NamespaceIndex {
  readonly #namespaces = new Map<string, Namespace>();

  get(name: string): Namespace | undefined {
    return this.#namespaces.get(name);
  }

  /** Applies a change and says what it changed. */
  apply(change: Change<Namespace>): {
    readonly put: readonly Namespace[];
    readonly removed: readonly Namespace[];
  } {
    switch (change.type) {
      case "put":
        return { put: this.#put(change.item) ? [change.item] : [], removed: [] };
      case "removed":
        return { put: [], removed: this.#namespaces.delete(change.item.name) ? [change.item] : [] };
      case "replaced": {
        const listed = new Set(change.items.map(({ name }) => name));
        const removed = [...this.#namespaces.values()].filter(({ name }) => !listed.has(name));
        for (const { name } of removed) this.#namespaces.delete(name);
        return { put: change.items.filter((item) => this.#put(item)), removed };
      }
    }
  }

  #put(namespace: Namespace): boolean {
    const known = this.#namespaces.get(namespace.name);
    this.#namespaces.set(namespace.name, namespace);
    return known?.resourceVersion !== namespace.resourceVersion;
  }
}
