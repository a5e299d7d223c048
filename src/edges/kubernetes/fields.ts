/** An object of which nothing is known yet. */
export type JsonRecord = Readonly<Record<string, unknown>>;

const EMPTY: JsonRecord = {};

/** The value when it is an object, else an empty one. */
export function asRecord(value: unknown): JsonRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as JsonRecord)
    : EMPTY;
}

/** The value when it is a text, else the empty text. */
export function asText(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** The value when it is a list, else an empty one. */
export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** How many different texts are shared; further ones are kept as they are. */
const SHARED_MAX = 50_000;
const shared = new Map<string, string>();

/**
 * One copy of a text that many objects carry (namespaces, nodes, roles): it saves a third of what
 * 50,000 pods cost in memory.
 */
export function share(text: string): string {
  const known = shared.get(text);
  if (known !== undefined) return known;
  if (shared.size >= SHARED_MAX) shared.clear();
  shared.set(text, text);
  return text;
}
