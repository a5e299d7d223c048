import { AppError } from "#core/errors.ts";
import { type Execute, type Executed, executeFile } from "./execute.ts";

/** Runs the program to its end; `input` is its standard input. */
export type RuleProgram = (
  parameters: readonly string[],
  signal: AbortSignal,
  input?: string,
) => Promise<Executed>;

/**
 * A program that changes the kernel's rules. What it says is its caller's to judge.
 *
 * @throws {AppError} `invalid_settings` when it is missing or does not finish.
 */
export function ruleProgram(name: string, exec: Execute = executeFile): RuleProgram {
  return async (parameters, signal, input) => {
    try {
      return await exec(name, parameters, signal, input);
    } catch (error) {
      signal.throwIfAborted();
      const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
      const why = missing
        ? `the program ${name} is not in the image; install it, or leave --interception out`
        : `${name} did not finish`;
      throw new AppError("invalid_settings", `--interception: ${why}`, { cause: error });
    }
  };
}

/** What a program's refusal means to an operator. */
export function ruleFailure(name: string, { status, stderr }: Executed): AppError {
  const denied = /permission denied|must be root|not permitted/i.test(stderr);
  const why = denied
    ? `${name} was not permitted; the container needs the capability NET_ADMIN and the host's network`
    : `${name} failed with status ${status}: ${stderr.trim().split("\n", 1)[0] ?? ""}`;
  return new AppError("invalid_settings", `--interception: ${why}`, { cause: new Error(stderr) });
}
