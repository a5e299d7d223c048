import { parseAddress } from "./address.ts";
import { formatDuration, parseDuration } from "./duration.ts";
import type { Setting } from "./setting.ts";

/** What reading a value needs from outside. */
export interface ValueChecks {
  /** What is at a path. */
  pathKind(path: string): "file" | "directory" | "missing";
}

/**
 * Reads one value. An empty text is "none" where the setting has neither default nor obligation,
 * so that `--flag=` means what leaving it out means.
 *
 * @throws {Error} in the words of kingpin where it has them (specs: kiam.md §1.0).
 */
export function readValue(flag: string, setting: Setting, text: string, checks: ValueChecks) {
  switch (setting.kind) {
    case "string":
    case "regexp":
      return text;
    case "list":
      return readList(text);
    case "boolean":
      return text === "true";
    case "enum":
      return readWord(setting.values ?? [], text);
    case "duration":
      return within(flag, setting, parseDuration(text), formatDuration);
    case "integer":
      return within(flag, setting, readInteger(text), String);
    case "file":
      return readFilePath(text, checks);
    case "address":
      return text === "" && setting.default === undefined ? undefined : parseAddress(text);
  }
}

function readList(text: string): readonly string[] {
  const items = text.split(",").map((item) => item.trim());
  return items.filter((item) => item !== "");
}

function readWord(words: readonly string[], text: string): string {
  if (words.includes(text)) return text;
  throw new Error(`enum value must be one of ${words.join(",")}, got '${text}'`);
}

/** Kingpin reads an integer as a float and cuts it. */
function readInteger(text: string): number {
  if (!/^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/.test(text)) {
    throw new Error(`strconv.ParseFloat: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  return Math.trunc(Number(text));
}

function within(
  flag: string,
  { min = -Infinity, max = Infinity }: Setting,
  value: number,
  print: (value: number) => string,
): number {
  if (value < min) throw new Error(`--${flag} must be at least ${print(min)}, got ${print(value)}`);
  if (value > max) throw new Error(`--${flag} must be at most ${print(max)}, got ${print(value)}`);
  return value;
}

function readFilePath(path: string, checks: ValueChecks): string {
  const kind = checks.pathKind(path);
  if (kind === "missing") throw new Error(`path '${path}' does not exist`);
  if (kind === "directory") throw new Error(`'${path}' is a directory`);
  return path;
}
