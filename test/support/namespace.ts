import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { quietEnvironment } from "#apps/demo/processes.ts";
import { type Execute, executeFile } from "#edges/linux/execute.ts";

/** A process in a namespace, and what it says. */
export interface Inside extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly lines: readonly string[];
  /** What it says on its standard output, line by line. */
  readonly output: Interface;
  /** Its exit code; null after a signal. */
  readonly ended: Promise<number | null>;
}

/**
 * A network namespace of the test's own: nothing in it, and no way out but what the test makes. It
 * has no name in the file system and ends with the process that made it, however that ends. `/sys` of the process that
 * holds it shows its interfaces.
 */
export class Namespace implements AsyncDisposable {
  /** The process that holds it, which `ip link … netns` takes for its name. */
  readonly pid: number;
  readonly #holder: ChildProcess | undefined;
  readonly #processes: Inside[] = [];

  private constructor(pid: number, holder?: ChildProcess) {
    this.pid = pid;
    this.#holder = holder;
  }

  /** The one that this process is in, which must be no machine's. */
  static own(): Namespace {
    return new Namespace(process.pid);
  }

  static async open(): Promise<Namespace> {
    // It says something only once it is inside, and ends with its input.
    const script = "mount -t sysfs sysfs /sys && echo in && exec cat";
    const holder = spawn("unshare", ["--net", "--mount", "sh", "-c", script], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    const namespace = new Namespace(holder.pid ?? 0, holder);
    namespace.run("ip link set lo up");
    return namespace;
  }

  /** Runs a program in it, as an agent there would. */
  readonly execute: Execute = (program, parameters, signal, input) =>
    executeFile("nsenter", this.#entering(program, ...parameters), signal, input);

  /** Runs a shell's script in it and returns what it says. @throws when it fails. */
  run(script: string): string {
    const done = spawnSync("nsenter", this.#entering("sh", "-euc", script), { encoding: "utf8" });
    if (done.status !== 0) throw new Error(`${script}\n${done.stdout}${done.stderr}`);
    return done.stdout;
  }

  /** Starts a program in it, which is killed when the namespace is disposed of. */
  start(command: readonly string[], environment: Readonly<Record<string, string>> = {}): Inside {
    // It ends with the test, however that ends.
    const bound = ["--pdeathsig=KILL", "nsenter", ...this.#entering(...command)];
    const child = spawn("setpriv", bound, {
      stdio: ["pipe", "pipe", "pipe"],
      env: quietEnvironment(environment),
    });
    const lines: string[] = [];
    const output = createInterface({ input: child.stdout });
    for (const said of [output, createInterface({ input: child.stderr })]) {
      said.on("line", (line) => lines.push(line));
    }
    const ended = once(child, "close").then(([code]) => code as number | null);
    const inside: Inside = {
      child,
      lines,
      output,
      ended,
      [Symbol.asyncDispose]: async () => {
        child.kill("SIGKILL");
        await ended;
      },
    };
    this.#processes.push(inside);
    return inside;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const inside of this.#processes) await inside[Symbol.asyncDispose]();
    if (this.#holder === undefined) return;
    const ended = once(this.#holder, "close");
    this.#holder.stdin?.end();
    await ended;
  }

  #entering(...command: readonly string[]): string[] {
    return [`--net=/proc/${this.pid}/ns/net`, "--", ...command];
  }
}

/** What a namespace here takes itself. */
const PROGRAMS = ["nsenter", "setpriv", "ip", "mount"];

/** Why such namespaces can't be made here, with the programs that are wanted in them; false when they can. */
export function cannotMakeNamespaces(...wanted: readonly string[]): string | false {
  const programs = [...PROGRAMS, ...wanted];
  const test = programs.map((program) => `command -v ${program}`).join(" && ");
  const { status } = spawnSync("unshare", ["--net", "--mount", "sh", "-c", test]);
  return status === 0 ? false : `needs root, unshare, ${programs.join(", ")}`;
}
