import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { quietEnvironment } from "#apps/demo/processes.ts";
import type { Execute } from "#edges/linux/execute.ts";

/** A process in a namespace, and what it says. */
export interface Inside extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly lines: readonly string[];
  /** Its exit code; null after a signal. */
  readonly ended: Promise<number | null>;
}

/**
 * A network namespace of the test's own: nothing in it, and no way out but what the test makes. It
 * has no name in the file system and ends with the process that made it, however that ends.
 */
export class Namespace implements AsyncDisposable {
  readonly #holder: ChildProcess;
  readonly #processes: Inside[] = [];

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async open(): Promise<Namespace> {
    // It says something only once it is inside, and ends with its input.
    const holder = spawn("unshare", ["--net", "sh", "-c", "echo in; exec cat"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    const namespace = new Namespace(holder);
    namespace.run("ip link set lo up");
    return namespace;
  }

  /** The process that holds it, which `ip link … netns` takes for its name. */
  get pid(): number {
    return this.#holder.pid ?? 0;
  }

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
      stdio: ["ignore", "pipe", "pipe"],
      env: quietEnvironment(environment),
    });
    const lines: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => lines.push(line));
    }
    const ended = once(child, "close").then(([code]) => code as number | null);
    const inside: Inside = {
      child,
      lines,
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
    const ended = once(this.#holder, "close");
    this.#holder.stdin?.end();
    await ended;
  }

  #entering(...command: readonly string[]): string[] {
    return [`--net=/proc/${this.pid}/ns/net`, "--", ...command];
  }
}

/** Runs programs in the namespace, as an agent there would. */
export function executeIn(namespace: Namespace): Execute {
  return async (program, parameters, _signal, input) => {
    const entering = [`--net=/proc/${namespace.pid}/ns/net`, "--", program, ...parameters];
    const { status, stdout, stderr } = spawnSync("nsenter", entering, { encoding: "utf8", input });
    return { status: status ?? -1, stdout, stderr };
  };
}

/** Why such namespaces can't be made here, with the programs that are wanted in them; false when they can. */
export function cannotMakeNamespaces(...programs: readonly string[]): string | false {
  const test = programs.map((program) => `command -v ${program}`).join(" && ");
  const { status } = spawnSync("unshare", ["--net", "sh", "-c", test || "true"]);
  return status === 0 ? false : `needs root, unshare, nsenter, ${programs.join(", ")}`;
}
