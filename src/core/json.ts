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
