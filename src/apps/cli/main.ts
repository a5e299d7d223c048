/** The program: `rolecall agent|server|health …`, and the same as `/kiam …`. */
import { readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { compileSetting } from "#runtime/re2.ts";
import { cli } from "./cli.ts";
import { COMMANDS } from "./commands.ts";
import { VERSION } from "./version.ts";

const program = basename(process.env["ROLECALL_PROGRAM"] ?? "rolecall");

async function main(): Promise<void> {
  process.exitCode = await cli(process.argv.slice(2), {
    commands: COMMANDS,
    program: program === "kiam" ? "kiam" : "rolecall",
    version: VERSION,
    environment: process.env,
    compile: compileSetting,
    pathKind(path) {
      const found = statSync(path, { throwIfNoEntry: false });
      if (found === undefined) return "missing";
      return found.isDirectory() ? "directory" : "file";
    },
    readFile: (path) => readFileSync(path, "utf8"),
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
  });
}

// Not awaited: the bundle is CommonJS, which has no await at its top.
void main();
