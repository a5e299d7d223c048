import type { SettingsTable } from "#runtime/settings/setting.ts";

/** What a command is given besides its settings. */
export interface CommandContext {
  /** `rolecall`, or `kiam` where it is called so. */
  readonly program: string;
  readonly version: string;
  /** Sentences about the settings, for the log. */
  readonly warnings: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** What a command's `main.ts` exports: runs until it is done and returns the exit code. */
export type CommandMain<Settings> = (
  settings: Settings,
  context: CommandContext,
) => Promise<number>;

/** What looking at all settings together finds. */
export interface CrossCheck {
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/** One command of the program. */
export interface Command {
  readonly summary: string;
  readonly settings: SettingsTable;
  /** Rules about several settings at once; nothing is opened before they hold. */
  readonly check?: (settings: never) => CrossCheck;
  readonly load: () => Promise<{ readonly main: CommandMain<never> }>;
}
