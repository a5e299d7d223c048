import { type Setting, type SettingsOf, type SettingsTable, camelCase } from "./setting.ts";
import { type Token, tokenText } from "./tokens.ts";
import { type ValueChecks, readValue } from "./value.ts";

/** What a command line says: the settings, or that help is wanted. */
export type Parsed<Table extends SettingsTable> =
  | {
      readonly outcome: "settings";
      readonly settings: SettingsOf<Table>;
      /** Sentences about flags that are old or have no effect. */
      readonly warnings: readonly string[];
    }
  | { readonly outcome: "help"; readonly long: boolean };

/** Where values come from besides the command line. */
export interface Sources extends ValueChecks {
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** The flags that ask for help. */
export const HELP_FLAGS = ["help", "help-long", "help-man"] as const;

interface Given {
  readonly values: Map<string, string>;
  readonly warnings: string[];
}

/**
 * Reads the flags of one command with the habits of kingpin v2, which Kiam used (specs: kiam.md
 * §1.0). Precedence: flag, environment, default.
 *
 * @throws {Error} the first problem, in kingpin's words; the caller prints it.
 */
export function parseFlags<const Table extends SettingsTable>(
  table: Table,
  tokens: readonly Token[],
  sources: Sources,
): Parsed<Table> {
  const given: Given = { values: new Map(), warnings: [] };
  const help = readTokens(table, tokens, given);
  if (help !== undefined) return { outcome: "help", long: help !== "help" };

  const settings: Record<string, unknown> = {};
  for (const [flag, setting] of Object.entries(table)) {
    const text = textOf(flag, setting, given, sources.environment);
    const value = text === undefined ? undefined : readValue(flag, setting, text, sources);
    if (setting.ignored === undefined) settings[camelCase(flag)] = value;
  }
  // Kingpin looks for what is missing only when all that was given could be read.
  for (const [flag, setting] of Object.entries(table)) {
    const missing = textOf(flag, setting, given, sources.environment) === undefined;
    if (setting.required && missing) throw new Error(`required flag --${flag} not provided`);
  }
  return {
    outcome: "settings",
    settings: settings as SettingsOf<Table>,
    warnings: given.warnings,
  };
}

function textOf(
  flag: string,
  { kind, environment: variable, default: preset }: Setting,
  { values }: Given,
  environment: Sources["environment"],
): string | undefined {
  const set = variable === undefined ? undefined : environment[variable];
  // As in kingpin, an empty variable counts as unset.
  return values.get(flag) ?? (set || preset) ?? (kind === "boolean" ? "false" : undefined);
}

/** Fills `given`, or returns the help flag that was met before any problem. */
function readTokens(
  table: SettingsTable,
  tokens: readonly Token[],
  { values, warnings }: Given,
): (typeof HELP_FLAGS)[number] | undefined {
  for (let index = 0; index < tokens.length; index += 1) {
    const token = tokens[index] as Token;
    if (token.type === "value") throw new Error(`unexpected ${token.text}`);
    if (token.type === "short") throw new Error(`unknown short flag '${tokenText(token)}'`);
    const help = HELP_FLAGS.find((name) => name === token.name);
    if (help !== undefined) return help;

    const found = find(table, token.name);
    if (found === undefined) throw new Error(`unknown long flag '${tokenText(token)}'`);
    const { flag, setting, inverted, alias } = found;

    let text = inverted ? "false" : "true";
    if (setting.kind !== "boolean") {
      index += 1;
      const next = tokens[index];
      if (next?.type !== "value") {
        throw new Error(`expected argument for flag '${tokenText(token)}'`);
      }
      text = next.text;
    }
    if (values.has(flag)) throw new Error(`flag '${flag}' cannot be repeated`);
    values.set(flag, text);
    if (alias) warnings.push(`--${token.name} is an old name of --${flag}`);
    if (setting.ignored !== undefined) {
      warnings.push(`--${token.name} has no effect: ${setting.ignored}`);
    }
  }
  return undefined;
}

interface Found {
  readonly flag: string;
  readonly setting: Setting;
  readonly inverted: boolean;
  readonly alias: boolean;
}

function find(table: SettingsTable, name: string): Found | undefined {
  for (const [flag, setting] of Object.entries(table)) {
    const alias = setting.aliases?.includes(name) ?? false;
    if (flag === name || alias) return { flag, setting, inverted: false, alias };
    const inverted = setting.kind === "boolean" && name === `no-${flag}`;
    if (inverted) return { flag, setting, inverted, alias: false };
  }
  return undefined;
}
