/**
 * What a watched collection says, in order.
 *
 * `replaced` holds the whole collection: whatever was known and is not in it is gone.
 */
export type Change<T> =
  | { readonly type: "replaced"; readonly items: readonly T[] }
  | { readonly type: "put"; readonly item: T }
  | { readonly type: "removed"; readonly item: T };
