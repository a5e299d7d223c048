/** The suite in a real cluster, one scenario after another. `npm run test:cluster` starts it. */
import { after, before, describe } from "node:test";

import { addresses } from "./scenarios/addresses.ts";
import { agents } from "./scenarios/agents.ts";
import { certificates } from "./scenarios/certificates.ts";
import { changes } from "./scenarios/changes.ts";
import { firstCall } from "./scenarios/first-call.ts";
import { outages } from "./scenarios/outages.ts";
import { refusals } from "./scenarios/refusals.ts";
import { startWorld, type Scenario, type World } from "./world.ts";

// Certificates come before the outages, after which kubelets are slow to see that a secret changed; the last one
// takes the agents away.
const SCENARIOS: readonly Scenario[] = [
  firstCall,
  changes,
  refusals,
  addresses,
  certificates,
  outages,
  agents,
];

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
  for (const scenario of SCENARIOS) scenario(started);
});
