import type { Change } from "./change.ts";

/**
 * Where the watch of one collection stands.
 *
 * `listing` gathers pages aside: what is known stays as it is until the last page has come.
 * `watching` holds the version up to which every change was delivered, from which a new watch goes on.
 */
export type WatchState<T> =
  | { readonly step: "listing"; readonly items: readonly T[]; readonly next: string | undefined }
  | { readonly step: "watching"; readonly resourceVersion: string };

/** One page of a list. `next` is absent on the last. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  readonly next: string | undefined;
}

/** Nothing is listed yet, or what was can't be continued: the next list starts at its first page. */
export function listFromStart<T>(): WatchState<T> {
  return { step: "listing", items: [], next: undefined };
}

/** A page came. The last one completes the list: then `change` holds the whole collection. */
export function withPage<T>(
  items: readonly T[],
  page: Page<T>,
): { readonly state: WatchState<T>; readonly change: Change<T> | undefined } {
  const all = items.concat(page.items);
  return page.next === undefined
    ? {
        state: { step: "watching", resourceVersion: page.resourceVersion },
        change: { type: "replaced", items: all },
      }
    : { state: { step: "listing", items: all, next: page.next }, change: undefined };
}

/** Everything up to `resourceVersion` was delivered; an empty version tells nothing new. */
export function withVersion<T>(state: WatchState<T>, resourceVersion: string): WatchState<T> {
  return state.step === "watching" && resourceVersion !== ""
    ? { step: "watching", resourceVersion }
    : state;
}
