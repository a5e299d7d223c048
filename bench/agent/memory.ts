import { setTimeout as sleep } from "node:timers/promises";
import { untilReady } from "#apps/demo/processes.ts";
import { startNodeFloor } from "../floor/floors.ts";
import type { MeasuredProcess } from "../measured-process.ts";
import { type Row, rowOf } from "../row.ts";
import { startAgent } from "./agent.ts";
import { TARGETS } from "./targets.ts";
import { untilServing, type Plan, type World } from "./world.ts";

const FIRST_REQUESTS = 10_000;

/** Resident memory with a full node, before and after load, each time of new processes. */
export async function memory(world: World, plan: Plan): Promise<readonly Row[]> {
  const agents: Memory[] = [];
  const floors: Memory[] = [];
  for (let round = 0; round < plan.rounds; round += 1) {
    agents.push(await agentMemory(world, plan));
    await using floor = await startNodeFloor(world.floorOptions);
    floors.push(await loaded(world, plan, floor));
  }
  const row = (name: string, of: (memory: Memory) => number): Row =>
    rowOf(name, "MB", { values: agents.map(of), floors: floors.map(of) }, TARGETS[name]);
  return [
    row("memory.idle", ({ idle }) => idle),
    row("memory.loaded", (after) => after.loaded),
    row("memory.loaded-to-floor", (after) => after.loaded),
  ];
}

/** Whether memory stays where it is over many requests and changes. */
export async function memoryLong(world: World, plan: Plan): Promise<readonly Row[]> {
  await using agent = await startAgent(world.agentOptions);
  await untilServing(agent);
  const { client, requests, feed } = world;
  const shape = { mode: "keep", connections: 32 } as const;
  await client.send(agent.port, requests.v1, { ...shape, requests: FIRST_REQUESTS });
  await sleep(plan.settleMs);
  const first = await agent.residentMB();
  await Promise.all([
    client.send(agent.port, requests.v1, { ...shape, requests: plan.longRequests }),
    feed.change(plan.longChanges, CHANGES_PER_SECOND),
  ]);
  await sleep(plan.settleMs);
  const samples = { values: [await agent.residentMB()], floors: [first] };
  return [rowOf("memory.long", "MB", samples, TARGETS["memory.long"])];
}

const CHANGES_PER_SECOND = 1_000;

interface Memory {
  readonly idle: number;
  readonly loaded: number;
}

async function agentMemory(world: World, plan: Plan): Promise<Memory> {
  await using agent = await startAgent(world.agentOptions);
  await untilReady(`${agent.telemetry}/readyz`);
  return await loaded(world, plan, agent);
}

async function loaded(
  { client, requests }: World,
  plan: Plan,
  process: MeasuredProcess & { readonly port: number },
): Promise<Memory> {
  await sleep(plan.settleMs);
  const idle = await process.residentMB();
  await client.send(process.port, requests.v1, {
    mode: "keep",
    connections: 32,
    requests: plan.loadRequests,
  });
  await client.send(process.port, requests.v1Closing, {
    mode: "close",
    connections: 16,
    requests: Math.ceil(plan.loadRequests / 10),
  });
  await sleep(plan.settleMs);
  return { idle, loaded: await process.residentMB() };
}
