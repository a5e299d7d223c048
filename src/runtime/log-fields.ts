import { AppError } from "#core/errors.ts";
import { Secret } from "#core/secret.ts";

/** What goes with an event. An absent (undefined) field is left out. */
export type LogFields = Readonly<Record<string, unknown>>;

/** What a field is after cleaning: safe to print, bounded in length and depth. */
export type CleanField =
  | string
  | number
  | boolean
  | null
  | CleanField[]
  | { [key: string]: CleanField };

const TEXT_CHARACTERS_MAX = 2_048;
const DEPTH_MAX = 5;
const ITEMS_MAX = 50;

/** Names under which only secrets travel, should one ever arrive unwrapped. */
const SECRET_NAME = /secret|token|password|authorization|external[-_.]?id|private[-_.]?key/i;

/**
 * Makes fields safe to print: secrets become `[secret]`, errors become code, message and causes
 * (a stack only for bugs), long texts and large collections are cut.
 */
export function cleanFields(fields: LogFields): Record<string, CleanField> {
  return cleanEntries(fields, 0);
}

function cleanEntries(fields: LogFields, depth: number): Record<string, CleanField> {
  const clean: Record<string, CleanField> = {};
  for (const [name, value] of Object.entries(fields).slice(0, ITEMS_MAX)) {
    if (value === undefined) continue;
    clean[name] = SECRET_NAME.test(name) && mayTell(value) ? "[secret]" : cleanValue(value, depth);
  }
  return clean;
}

/** Whether a value could hold a secret: a text, or anything that texts may be in. */
function mayTell(value: unknown): boolean {
  return typeof value === "string" || (typeof value === "object" && value !== null);
}

function cleanValue(value: unknown, depth: number): CleanField {
  switch (typeof value) {
    case "string":
      return cut(value);
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "boolean":
      return value;
    case "bigint":
      return String(value);
    case "object":
      return value === null ? null : cleanObject(value, depth);
    default:
      return `[${typeof value}]`;
  }
}

function cleanObject(value: object, depth: number): CleanField {
  if (value instanceof Secret) return "[secret]";
  if (value instanceof Date) return cut(String(value));
  if (depth >= DEPTH_MAX) return "[deep]";
  if (value instanceof Error) return cleanError(value, depth);
  if (ArrayBuffer.isView(value)) return "[bytes]";
  if (Array.isArray(value)) {
    return value.slice(0, ITEMS_MAX).map((item) => cleanValue(item, depth + 1));
  }
  return cleanEntries(value as LogFields, depth + 1);
}

function cleanError(error: Error, depth: number): CleanField {
  const clean: Record<string, CleanField> = { message: cut(error.message) };
  const code = (error as { code?: unknown }).code;
  if (typeof code === "string" || typeof code === "number") clean["code"] = code;
  // What has no code is a bug, and only a bug is worth its stack.
  else if (depth === 0 && error.stack !== undefined) clean["stack"] = cut(error.stack);
  if (error instanceof AppError) clean["code"] = error.code;
  if (error.cause !== undefined) clean["cause"] = cleanValue(error.cause, depth + 1);
  return clean;
}

function cut(text: string): string {
  return text.length <= TEXT_CHARACTERS_MAX ? text : `${text.slice(0, TEXT_CHARACTERS_MAX)}…`;
}
