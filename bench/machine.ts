import { execFile } from "node:child_process";
import os from "node:os";
import { promisify } from "node:util";

/** What the figures were measured on, and of what. */
export interface Machine {
  readonly processors: number;
  readonly model: string;
  readonly memoryMB: number;
  readonly kernel: string;
  readonly node: string;
  readonly date: string;
  /** The commit, with `+` when the tree had changes; `unknown` outside a checkout. */
  readonly commit: string;
}

/** Describes this machine and this checkout. */
export async function describeMachine(): Promise<Machine> {
  const processors = os.cpus();
  return {
    processors: processors.length,
    model: processors[0]?.model ?? "unknown",
    memoryMB: Math.round(os.totalmem() / 1e6),
    kernel: os.release(),
    node: process.version,
    date: new Date().toISOString(),
    commit: await commit(),
  };
}

async function commit(): Promise<string> {
  const git = async (...parameters: string[]): Promise<string> =>
    (await promisify(execFile)("git", parameters, { cwd: import.meta.dirname })).stdout.trim();
  try {
    const changes = await git("status", "--porcelain", "--", ":!results");
    return `${await git("rev-parse", "--short", "HEAD")}${changes === "" ? "" : "+"}`;
  } catch {
    return "unknown";
  }
}
