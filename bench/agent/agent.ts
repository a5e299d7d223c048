import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "#apps/demo/processes.ts";
import { bundle } from "../../tools/bundle.ts";
import { type MeasuredProcess, startMeasured } from "../measured-process.ts";
import type { Feed } from "./feed.ts";
import { NODE_NAME } from "./pods.ts";

/** The agent as the image has it: the bundle, and how Node is started on it. */
export interface Product {
  /** Node and its flags. */
  readonly node: readonly string[];
  /** The folder of the bundles. */
  readonly folder: string;
}

/** The agent as a process. */
export interface Agent extends MeasuredProcess {
  readonly port: number;
  /** Where it says whether it is ready, and what it counts. */
  readonly telemetry: string;
  /** Where CPU profiles are taken, when it was started so. */
  readonly pprof: string;
}

export interface AgentOptions {
  readonly product: Product;
  readonly feed: Feed;
  readonly cniResults: string;
  /** Whether CPU profiles can be taken. */
  readonly isProfiled?: boolean;
  readonly flags?: readonly string[];
}

const LAUNCHER = new URL("../../images/launcher.c", import.meta.url);

/** Builds what the image holds into `folder`. */
export async function buildProduct(folder: string): Promise<Product> {
  await bundle(folder);
  // The launcher is the one place that says how Node is started.
  const launcher = await readFile(LAUNCHER, "utf8");
  const before = /\{"node", (?<flags>.*)"\/opt\/rolecall\/rolecall\.cjs"\}/.exec(launcher);
  if (before === null) throw new Error("images/launcher.c does not say how it starts Node");
  const flags = [...(before.groups?.["flags"] ?? "").matchAll(/"(?<flag>[^"]+)"/g)];
  return { node: [process.execPath, ...flags.map(([, flag = ""]) => flag)], folder };
}

/** Starts an agent, and does not wait for it. */
export async function startAgent({
  product,
  feed,
  cniResults,
  isProfiled = false,
  flags = [],
}: AgentOptions): Promise<Agent> {
  const [port, telemetry, pprof] = [await freePort(), await freePort(), await freePort()];
  const started = startMeasured("measured", [
    ...product.node,
    join(product.folder, "rolecall.cjs"),
    "agent",
    `--cert=${feed.tls.cert}`,
    `--key=${feed.tls.key}`,
    `--ca=${feed.tls.ca}`,
    `--server-address=localhost:${feed.port}`,
    "--host=127.0.0.1",
    `--node-name=${NODE_NAME}`,
    `--port=${port}`,
    `--prometheus-listen-addr=127.0.0.1:${telemetry}`,
    `--cni-results=${cniResults}`,
    ...(isProfiled ? [`--pprof-listen-addr=127.0.0.1:${pprof}`] : []),
    ...flags,
  ]);
  return {
    ...started,
    port,
    telemetry: `http://127.0.0.1:${telemetry}`,
    pprof: `http://127.0.0.1:${pprof}`,
  };
}
