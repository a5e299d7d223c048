import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { quietEnvironment, stopChild } from "#apps/demo/processes.ts";
import { pinned, type Place } from "./processors.ts";

const LINES_MAX = 200;

/** A process that is measured from outside, by the kernel's own counters. Disposing stops it. */
export interface MeasuredProcess extends AsyncDisposable {
  readonly pid: number;
  /** The latest that it said, oldest first. */
  readonly lines: readonly string[];
  /** Processor time of all its threads so far, in microseconds. */
  cpuUs(): Promise<number>;
  /** Resident memory in MB (10⁶ bytes). */
  residentMB(): Promise<number>;
  /** The first match among the lines said so far and later. */
  says(pattern: RegExp): Promise<RegExpExecArray>;
}

/** Starts a command at its place. It ends, by its id, with this process at the latest. */
export function startMeasured(place: Place, command: readonly string[]): MeasuredProcess {
  const [program = "", ...parameters] = pinned(place, command);
  const child = spawn(program, parameters, {
    stdio: ["ignore", "pipe", "pipe"],
    // As images/launcher.c sets it.
    env: quietEnvironment({ MALLOC_ARENA_MAX: "1" }),
  });
  const pid = child.pid ?? 0;
  const kill = (): void => void child.kill("SIGKILL");
  process.once("exit", kill);
  child.once("exit", () => process.off("exit", kill));
  const lines = linesOf(child);
  return {
    pid,
    lines,
    cpuUs: () => cpuUs(pid),
    residentMB: () => residentMB(pid),
    says: (pattern) => says(child, lines, pattern),
    [Symbol.asyncDispose]: () => stopChild(child),
  };
}

/** `schedstat` counts nanoseconds; `stat` would count in ticks of 10 ms. */
async function cpuUs(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const times = await Promise.all(
    threads.map(async (thread) => {
      // A thread may end between the two; what it used is then lost.
      const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, "utf8").catch(() => "0");
      return Number(text.split(" ", 1)[0]);
    }),
  );
  return times.reduce((sum, time) => sum + time, 0) / 1_000;
}

async function residentMB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const kibibytes = /^VmRSS:\s+(?<size>\d+) kB$/m.exec(status)?.groups?.["size"];
  return (Number(kibibytes) * 1_024) / 1e6;
}

function linesOf(child: ChildProcess): string[] {
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      if (lines.length > LINES_MAX) lines.shift();
      child.emit("said");
    });
  }
  return lines;
}

async function says(
  child: ChildProcess,
  lines: readonly string[],
  pattern: RegExp,
): Promise<RegExpExecArray> {
  for (;;) {
    for (const line of lines) {
      const match = pattern.exec(line);
      if (match !== null) return match;
    }
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`a process ended before it said ${pattern}:\n${lines.join("\n")}`);
    }
    await Promise.race([once(child, "said"), once(child, "close")]);
  }
}
