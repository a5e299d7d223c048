import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Shape } from "../load/load.ts";
import { type Agent, startAgent } from "./agent.ts";
import { untilServing, type World } from "./world.ts";

const SECONDS = 4;
const WARM_MS = 500;
const CHANGES_A_SECOND = 1_000;

/** Takes a CPU profile of an agent under each kind of load, for the developer tools of a browser. */
export async function profiles(world: World, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { client, feed, requests } = world;
  const keep = { mode: "keep", connections: 32 } as const;
  await profile(join(folder, "keep-alive.v1.cpuprofile"), requests.v1, keep);
  await profile(join(folder, "keep-alive.v2.cpuprofile"), requests.v2, keep);
  const close = { mode: "close", connections: 16 } as const;
  await profile(join(folder, "connect.v1.cpuprofile"), requests.v1Closing, close);
  await profileOf(join(folder, "changes.cpuprofile"), () =>
    feed.change((SECONDS + 1) * CHANGES_A_SECOND, CHANGES_A_SECOND),
  );

  function profile(file: string, sent: string, shape: Omit<Shape, "seconds">): Promise<void> {
    return profileOf(file, async (agent) => {
      await client.send(agent.port, sent, { ...shape, seconds: SECONDS + 1 });
    });
  }

  async function profileOf(file: string, run: (agent: Agent) => Promise<void>): Promise<void> {
    await using agent = await startAgent({ ...world.agentOptions, isProfiled: true });
    await untilServing(agent);
    const load = run(agent);
    await sleep(WARM_MS);
    const taken = await fetch(`${agent.pprof}/debug/pprof/profile?seconds=${SECONDS}`);
    await writeFile(file, await taken.text());
    await load;
  }
}
