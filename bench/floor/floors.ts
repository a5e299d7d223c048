import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { compile } from "../compile.ts";
import type { Sources } from "../load/load.ts";
import { type MeasuredProcess, startMeasured } from "../measured-process.ts";

/** A responder that does nothing but answer, with the bytes that it was given. */
export interface Floor extends MeasuredProcess {
  readonly port: number;
}

export interface FloorOptions {
  /** Where programs and the answer are kept. */
  readonly folder: string;
  /** Node as the agent is run: program and flags. */
  readonly node: readonly string[];
  /** The whole answer, head and body. */
  readonly answer: Buffer;
  readonly sources: Sources;
}

/** Floor 1: `node:http`, bundled and run as the agent is. */
export async function startNodeFloor(options: FloorOptions): Promise<Floor> {
  const program = join(options.folder, "node-http.cjs");
  await build({
    entryPoints: [join(import.meta.dirname, "node-http.ts")],
    outfile: program,
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node26",
    logLevel: "warning",
  });
  const { first, count } = options.sources;
  const parameters = [await answerFile(options), first, String(count)];
  return listening(startMeasured("measured", [...options.node, program, ...parameters]));
}

/** Floor 2: a loop in C, which is what the kernel alone costs. */
export async function startNativeFloor(options: FloorOptions): Promise<Floor> {
  const program = await compile("floor/epoll.c", options.folder);
  return listening(startMeasured("measured", [program, await answerFile(options)]));
}

async function answerFile({ folder, answer }: FloorOptions): Promise<string> {
  const file = join(folder, "answer");
  await writeFile(file, answer);
  return file;
}

async function listening(process: MeasuredProcess): Promise<Floor> {
  const [, port] = await process.says(/^port (\d+)$/);
  return { ...process, port: Number(port) };
}
