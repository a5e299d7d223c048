import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { get } from "#apps/demo/processes.ts";
import { startNodeFloor } from "../floor/floors.ts";
import { sideBySide } from "../rounds.ts";
import { type Row, rowOf } from "../row.ts";
import { startAgent } from "./agent.ts";
import { TARGETS } from "./targets.ts";
import type { Plan, World } from "./world.ts";

const POLL_MS = 1;
const READY_WITHIN_MS = 20_000;

/**
 * From the start of the process until it is ready, with the rules in place and the feed at hand; the
 * floor is a bare responder until it listens. Where no rules can be made, the row's name says so.
 */
export async function start(world: World, { rounds }: Plan): Promise<readonly Row[]> {
  const mayIntercept = await iptables("-S").then(
    () => true,
    () => false,
  );
  const contenders = [
    { name: "node", measure: () => timeFloor(world) },
    { name: "agent", measure: () => timeAgent(world, mayIntercept) },
  ];
  // What is started first reads the programs from the disk.
  await sideBySide(contenders, 1);
  const measured = await sideBySide(contenders, rounds);
  const samples = { values: measured.get("agent") ?? [], floors: measured.get("node") ?? [] };
  const name = mayIntercept ? "start.ready" : "start.ready-without-rules";
  return [rowOf(name, "ms", samples, TARGETS[name])];
}

async function timeAgent({ agentOptions }: World, intercepts: boolean): Promise<number> {
  const flags = intercepts ? ["--iptables", "--host-interface=cali+"] : [];
  const started = performance.now();
  await using agent = await startAgent({ ...agentOptions, flags });
  await untilReady(`${agent.telemetry}/readyz`, started);
  const ms = performance.now() - started;
  if (intercepts) await takeRulesAway();
  return ms;
}

async function timeFloor({ floorOptions }: World): Promise<number> {
  const started = performance.now();
  await using _floor = await startNodeFloor(floorOptions);
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
async function takeRulesAway(): Promise<void> {
  const { stdout: rules } = await iptables("-S", "PREROUTING");
  if (!rules.includes("169.254.169.254")) throw new Error("the agent was ready without its rule");
  await iptables("-F", "PREROUTING");
}

function iptables(...parameters: string[]) {
  return promisify(execFile)("iptables", ["-t", "nat", ...parameters]);
}
