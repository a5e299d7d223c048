import type { Row } from "../row.ts";
import { compare, rowsOf, type Subject } from "./compare.ts";
import type { Plan, World } from "./world.ts";

const RATE = {
  name: "rate",
  unit: "requests/s",
  of: (slice: { perSecond: number }) => slice.perSecond,
} as const;
const CPU = { name: "cpu", unit: "µs", of: (slice: { cpuUs: number }) => slice.cpuUs } as const;
const P50 = { name: "p50", unit: "µs", of: (slice: { p50Us: number }) => slice.p50Us } as const;
const P99 = { name: "p99", unit: "µs", of: (slice: { p99Us: number }) => slice.p99Us } as const;

/** 32 connections that are kept: how many requests, and what each costs. */
export async function keepAlive(world: World, plan: Plan): Promise<readonly Row[]> {
  const shape = { mode: "keep", connections: 32, ...plan.slice } as const;
  const measured = await compare(world, plan, subjects(world, "v1", "v2"), shape);
  return [...rowsOf("keep-alive", RATE, measured), ...rowsOf("keep-alive", CPU, measured)];
}

/** A new connection for each request, 16 at a time. */
export async function connect(world: World, plan: Plan): Promise<readonly Row[]> {
  const shape = { mode: "close", connections: 16, ...plan.slice } as const;
  const measured = await compare(world, plan, subjects(world, "v1Closing", "v2Closing"), shape);
  return [...rowsOf("connect", RATE, measured), ...rowsOf("connect", CPU, measured)];
}

/** 5 000 requests a second, whatever the answers do: how long they take. */
export async function fixedRate(world: World, plan: Plan): Promise<readonly Row[]> {
  const measured = await compare(world, plan, subjects(world, "v1", "v2"), atFixedRate(plan));
  return [...rowsOf("fixed-rate", P50, measured), ...rowsOf("fixed-rate", P99, measured)];
}

/** The shape of every row about latency. */
export function atFixedRate({ slice }: Plan) {
  const perSecond = 5_000;
  const requests = "requests" in slice ? slice.requests : perSecond * slice.seconds;
  return { mode: "rate", connections: 10, perSecond, requests } as const;
}

function subjects(
  { nodeFloor, nativeFloor, agent, requests }: World,
  v1: "v1" | "v1Closing",
  v2: "v2" | "v2Closing",
): readonly Subject[] {
  return [
    { name: "node", process: nodeFloor, requests: requests[v1] },
    { name: "epoll", process: nativeFloor, requests: requests[v1] },
    { name: "v1", process: agent, requests: requests[v1] },
    { name: "v2", process: agent, requests: requests[v2] },
  ];
}
