import type { Setting, SettingsTable } from "#runtime/settings/setting.ts";
import type { Command } from "./command.ts";

const FLAG_WIDTH = 40;

/** The help of the program. */
export function programHelp(program: string, commands: Readonly<Record<string, Command>>): string {
  const lines = Object.entries(commands).map(
    ([name, { summary }]) => `  ${name.padEnd(15)} ${summary}`,
  );
  return `usage: ${program} <command> [<flags>]

Gives every Kubernetes pod exactly the AWS identity that its owners granted to it.

Commands:
${lines.join("\n")}
  help            show help for a command

Flags:
  --help     show this help; after a command, that command's flags
  --version  show the version
`;
}

/** The help of one command: every flag it knows, old ones included. */
export function commandHelp(program: string, name: string, command: Command): string {
  const sections = Map.groupBy(
    Object.entries(command.settings satisfies SettingsTable),
    ([, { section }]) => section,
  );
  const parts = [...sections].map(
    ([section, settings]) =>
      `${section}:\n${settings.map(([flag, setting]) => flagHelp(flag, setting)).join("\n")}\n`,
  );
  return `usage: ${program} ${name} [<flags>]\n\n${command.summary}\n\n${parts.join("\n")}`;
}

function flagHelp(flag: string, setting: Setting): string {
  const written =
    setting.kind === "boolean"
      ? `--[no-]${flag}`
      : `--${flag}=${setting.default === undefined || setting.default === "" ? setting.kind.toUpperCase() : setting.default}`;
  const notes = [
    setting.help,
    ...(setting.required === true ? ["Required."] : []),
    ...(setting.kind === "boolean" && setting.default === "true" ? ["On by default."] : []),
    ...(setting.values === undefined ? [] : [`One of ${setting.values.join(", ")}.`]),
    ...(setting.environment === undefined ? [] : [`Also $${setting.environment}.`]),
    ...(setting.ignored === undefined ? [] : [`Ignored: ${setting.ignored}.`]),
    ...(setting.aliases ?? []).map((alias) => `Formerly --${alias}.`),
  ].join(" ");
  return written.length < FLAG_WIDTH - 2
    ? `  ${written.padEnd(FLAG_WIDTH - 2)}${notes}`
    : `  ${written}\n${" ".repeat(FLAG_WIDTH)}${notes}`;
}
