import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Shape } from "../load/load.ts";
import { startAgent } from "./agent.ts";
import { untilServing, type World } from "./world.ts";

const SECONDS = 4;

/** Takes a CPU profile of an agent under each kind of load, for the developer tools of a browser. */
export async function profiles(world: World, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { client, requests } = world;
  const keep = { mode: "keep", connections: 32 } as const;
  await profile(join(folder, "keep-alive.v1.cpuprofile"), requests.v1, keep);
  await profile(join(folder, "keep-alive.v2.cpuprofile"), requests.v2, keep);
  const close = { mode: "close", connections: 16 } as const;
  await profile(join(folder, "connect.v1.cpuprofile"), requests.v1Closing, close);

  async function profile(file: string, sent: string, shape: Omit<Shape, "seconds">): Promise<void> {
    await using agent = await startAgent({ ...world.agentOptions, isProfiled: true });
    await untilServing(agent);
    await client.send(agent.port, sent, { ...shape, seconds: 1 });
    const load = client.send(agent.port, sent, { ...shape, seconds: SECONDS + 1 });
    const taken = await fetch(`${agent.pprof}/debug/pprof/profile?seconds=${SECONDS}`);
    await writeFile(file, await taken.text());
    await load;
  }
}
