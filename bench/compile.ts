import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

/**
 * Compiles a program of this folder, such as `load/load.c`, into `folder`.
 *
 * @returns the program's path.
 */
export async function compile(source: string, folder: string): Promise<string> {
  const program = join(folder, source.replaceAll(/\W/g, "-"));
  const from = join(import.meta.dirname, source);
  await promisify(execFile)("cc", ["-O2", "-Wall", "-Wextra", "-o", program, from]);
  return program;
}
