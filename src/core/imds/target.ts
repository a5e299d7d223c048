import { parsePath, type Route, routeOf } from "./path.ts";

/** A request's target as it was understood. */
export type Target =
  | { readonly ok: false }
  | { readonly ok: true; readonly path: string; readonly query: string; readonly route: Route };

/** Pods ask for few different things, again and again: reading a target costs as much as finding its answer. */
const REMEMBERED_MAX = 512;
const REMEMBERED_LENGTH_MAX = 256;
const remembered = new Map<string, Target>();

/** Reads a request's target (`parsePath`, `routeOf`). */
export function readTarget(text: string): Target {
  const known = remembered.get(text);
  if (known !== undefined) return known;
  const parsed = parsePath(text);
  const target: Target = parsed.ok ? { ...parsed, route: routeOf(parsed.path) } : { ok: false };
  if (text.length <= REMEMBERED_LENGTH_MAX) {
    if (remembered.size >= REMEMBERED_MAX) remembered.clear();
    remembered.set(text, target);
  }
  return target;
}
