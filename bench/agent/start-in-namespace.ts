/**
 * Starts agents and bare responders in turn, in the network namespace that it runs in, and says how long
 * each took.
 *
 *   start-in-namespace PRODUCT_FOLDER ROUNDS intercept|bare
 */
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { get } from "#apps/demo/processes.ts";
import { startNodeFloor } from "../floor/floors.ts";
import { readProduct, startAgent, type AgentOptions } from "./agent.ts";
import { startFeed } from "./feed.ts";
import { SOURCES, writeCniResults } from "./pods.ts";
import { scratchFolder } from "./world.ts";

/** What it says, in milliseconds for each round. */
export interface Started {
  readonly agentMs: readonly number[];
  readonly floorMs: readonly number[];
}

const POLL_MS = 1;
const READY_WITHIN_MS = 20_000;
const ANSWER = Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");

const [productFolder = "", rounds = "1", interception = "bare"] = process.argv.slice(2);
const intercepts = interception === "intercept";

await using resources = new AsyncDisposableStack();
const folder = await scratchFolder(resources);
const options: AgentOptions = {
  product: await readProduct(productFolder),
  feed: resources.use(await startFeed(folder)),
  cniResults: await writeCniResults(folder),
  flags: intercepts ? ["--iptables", "--host-interface=lo"] : [],
};
const agentMs: number[] = [];
const floorMs: number[] = [];
// One more than asked for: the first reads the programs from the disk.
for (let round = 0; round <= Number(rounds); round += 1) {
  agentMs.push(await timeAgent());
  floorMs.push(await timeFloor());
}
const said: Started = { agentMs: agentMs.slice(1), floorMs: floorMs.slice(1) };
process.stdout.write(`${JSON.stringify(said)}\n`);

async function timeAgent(): Promise<number> {
  const started = performance.now();
  await using agent = await startAgent(options);
  await untilReady(`${agent.telemetry}/readyz`, started);
  const ms = performance.now() - started;
  if (intercepts) takeRulesAway();
  return ms;
}

async function timeFloor(): Promise<number> {
  const { node } = options.product;
  const started = performance.now();
  await using _floor = await startNodeFloor({ folder, node, answer: ANSWER, sources: SOURCES });
  return performance.now() - started;
}

async function untilReady(url: string, started: number): Promise<void> {
  const isReady = (): Promise<boolean> =>
    get(url).then(
      ({ status }) => status === 200,
      () => false,
    );
  while (!(await isReady())) {
    if (performance.now() - started > READY_WITHIN_MS) throw new Error(`${url} is not ready`);
    await sleep(POLL_MS);
  }
}

/** Throws when they were not there: the figure would be of something else. */
function takeRulesAway(): void {
  const rules = execFileSync("iptables", ["-t", "nat", "-S", "PREROUTING"]).toString();
  if (!rules.includes("169.254.169.254")) throw new Error("the agent was ready without its rule");
  execFileSync("iptables", ["-t", "nat", "-F", "PREROUTING"]);
}
