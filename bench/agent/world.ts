import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { untilReady } from "#apps/demo/processes.ts";
import {
  type FloorOptions,
  startNativeFloor,
  startNodeFloor,
  type Floor,
} from "../floor/floors.ts";
import { loadClient, type LoadClient } from "../load/load.ts";
import { linkPods } from "../own-network.ts";
import { standAside } from "../processors.ts";
import { type Agent, type AgentOptions, buildProduct, startAgent } from "./agent.ts";
import { type Feed, startFeed } from "./feed.ts";
import { NODE_PODS, RANGE, SOURCES, writeCniResults } from "./pods.ts";
import { exchange, v1Request, v2Tokens } from "./requests.ts";

/** How much is measured. */
export interface Plan {
  readonly rounds: number;
  /** How long each measurement of a round is: either of them. */
  readonly slice: { readonly seconds: number } | { readonly requests: number };
  /** Requests after which memory is looked at; a tenth as many new connections come on top. */
  readonly loadRequests: number;
  /** Requests and changes of pods after which memory is compared with that after the first 10 000. */
  readonly longRequests: number;
  readonly longChanges: number;
  /** How long a process is left alone before its memory is looked at, in milliseconds. */
  readonly settleMs: number;
}

/** Requests, kept in files for the client. */
export interface Requests {
  readonly v1: string;
  readonly v2: string;
  readonly v1Closing: string;
  readonly v2Closing: string;
}

/** All that figures are made of: an agent with a full node, what it is compared with, and load. */
export interface World {
  readonly folder: string;
  readonly feed: Feed;
  readonly client: LoadClient;
  readonly agent: Agent;
  readonly nodeFloor: Floor;
  readonly nativeFloor: Floor;
  readonly requests: Requests;
  /** What another process of either kind is started with. */
  readonly agentOptions: AgentOptions;
  readonly floorOptions: FloorOptions;
}

/** A folder of its own, which goes with the process at the latest. */
async function scratchFolder(resources: AsyncDisposableStack): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "rolecall-bench-"));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  process.once("exit", remove);
  resources.defer(() => {
    process.off("exit", remove);
    remove();
  });
  return folder;
}

/** Starts the world, in a network of its own; everything in it ends with `resources`. */
export async function startWorld(resources: AsyncDisposableStack): Promise<World> {
  await standAside();
  await linkPods(RANGE, NODE_PODS);
  const folder = await scratchFolder(resources);
  const client = await loadClient(folder, SOURCES);
  const feed = resources.use(await startFeed(folder));
  const agentOptions: AgentOptions = {
    product: await buildProduct(join(folder, "product")),
    feed,
    cniResults: await writeCniResults(folder),
  };
  const agent = resources.use(await startAgent(agentOptions));
  const answer = await untilServing(agent);
  const { node } = agentOptions.product;
  const floorOptions: FloorOptions = { folder, node, answer, sources: SOURCES };
  return {
    folder,
    feed,
    client,
    agent,
    nodeFloor: resources.use(await startNodeFloor(floorOptions)),
    nativeFloor: resources.use(await startNativeFloor(floorOptions)),
    requests: await prepareRequests(client, await v2Tokens(agent.port)),
    agentOptions,
    floorOptions,
  };
}

/**
 * Waits until the agent is ready and has answered each pod once.
 *
 * @returns one of the answers, as it came.
 */
export async function untilServing({ port, telemetry }: Agent): Promise<Buffer> {
  await untilReady(`${telemetry}/readyz`);
  const answers: Buffer[] = [];
  for (const pod of NODE_PODS) answers.push(await exchange(port, pod, v1Request(pod)));
  return answers[0] ?? Buffer.alloc(0);
}

async function prepareRequests(client: LoadClient, tokens: readonly string[]): Promise<Requests> {
  const close = { Connection: "close" };
  const token = (index: number) => ({ "X-aws-ec2-metadata-token": tokens[index] ?? "" });
  const each = (name: string, fields: (index: number) => Readonly<Record<string, string>>) =>
    client.prepare(
      name,
      NODE_PODS.map((pod, index) => v1Request(pod, fields(index))),
    );
  return {
    v1: await each("v1", () => ({})),
    v2: await each("v2", token),
    v1Closing: await each("v1-closing", () => close),
    v2Closing: await each("v2-closing", (index) => ({ ...token(index), ...close })),
  };
}
