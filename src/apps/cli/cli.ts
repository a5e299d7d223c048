import { HELP_FLAGS, parseFlags, type Sources } from "#runtime/settings/parse.ts";
import { type SettingsTable, camelCase } from "#runtime/settings/setting.ts";
import { tokens } from "#runtime/settings/tokens.ts";
import type { Command, CommandContext, CommandMain } from "./command.ts";
import { commandHelp, programHelp } from "./help.ts";

/** What the command line needs of the world. */
export interface CliWorld extends Sources {
  readonly commands: Readonly<Record<string, Command>>;
  /** `rolecall`, or `kiam` where it is called so. */
  readonly program: string;
  readonly version: string;
  /** Compiles an RE2 expression. Rejects with an Error in the words of Go's regexp when it can't. */
  compile(expression: string): Promise<unknown>;
  readFile(path: string): string;
  out(text: string): void;
  err(text: string): void;
}

/**
 * Finds the command, reads its settings and runs it.
 *
 * @returns the exit code: the command's own, 0 after help, 1 for a command line that can't be used
 */
export async function cli(argv: readonly string[], world: CliWorld): Promise<number> {
  const { commands, program, version, out, err } = world;
  const [name, ...rest] = withCommand(argv, commands);
  try {
    if (name === "--version") {
      out(`${program} ${version}\n`);
      return 0;
    }
    const isHelp =
      name === undefined || name === "help" || HELP_FLAGS.some((flag) => name === `--${flag}`);
    if (isHelp)
      return showHelp(name === "help" ? withCommand(rest, commands)[0] : undefined, world);
    const command = commandNamed(name, commands);
    const parsed = parseFlags(command.settings, tokens(rest, world.readFile), world);
    if (parsed.outcome === "help") return showHelp(name, world);
    await compileAll(command.settings, parsed.settings, world);
    const settings = parsed.settings as never;
    const { problems, warnings } = command.check?.(settings) ?? { problems: [], warnings: [] };
    if (problems.length > 0) throw new Error(problems.join("; "));
    const context: CommandContext = {
      program,
      version,
      warnings: [...parsed.warnings, ...warnings],
      environment: world.environment,
    };
    const { main } = (await command.load()) as { main: CommandMain<never> };
    return await main(settings, context);
  } catch (error) {
    err(
      `${program}: error: ${error instanceof Error ? error.message : String(error)}, try --help\n`,
    );
    return 1;
  }
}

/** A command's name may be two words; they become the first one. */
function withCommand(argv: readonly string[], commands: CliWorld["commands"]): readonly string[] {
  const two = argv.slice(0, 2).join(" ");
  return Object.hasOwn(commands, two) ? [two, ...argv.slice(2)] : argv;
}

/** What is no expression is said with the other problems of a command line. */
async function compileAll(
  table: SettingsTable,
  settings: Readonly<Record<string, unknown>>,
  { compile }: CliWorld,
): Promise<void> {
  for (const [flag, { kind }] of Object.entries(table)) {
    if (kind === "regexp") await compile(String(settings[camelCase(flag)]));
  }
}

function commandNamed(name: string, commands: CliWorld["commands"]): Command {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command !== undefined) return command;
  throw new Error(
    name.startsWith("-")
      ? `unknown long flag '${name}'`
      : `expected command but got ${JSON.stringify(name)}`,
  );
}

function showHelp(name: string | undefined, { commands, program, out }: CliWorld): number {
  out(
    name === undefined
      ? programHelp(program, commands)
      : commandHelp(program, name, commandNamed(name, commands)),
  );
  return 0;
}
