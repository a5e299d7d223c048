/** The suite in a real cluster, one scenario after another. `npm run test:cluster` starts it. */
import { after, before, describe } from "node:test";

import { SCENARIOS } from "./scenarios.ts";
import { readPrepared, startWorld, type World } from "./world.ts";

const { scenarios } = await readPrepared();

describe("Rolecall in a real cluster", () => {
  const stopping = new AbortController();
  const resources = new AsyncDisposableStack();
  let world: World | undefined;
  const started = (): World => {
    if (world === undefined) throw new Error("the cluster did not start");
    return world;
  };
  before(async () => {
    world = await startWorld(resources, stopping.signal);
  });
  after(async () => {
    stopping.abort(new Error("the suite is over"));
    await resources.disposeAsync();
  });
  for (const name of scenarios) SCENARIOS[name]?.(started);
});
