import { addresses } from "./scenarios/addresses.ts";
import { agents } from "./scenarios/agents.ts";
import { certificates } from "./scenarios/certificates.ts";
import { changes } from "./scenarios/changes.ts";
import { clients } from "./scenarios/clients.ts";
import { firstCall } from "./scenarios/first-call.ts";
import { interception } from "./scenarios/interception.ts";
import { nodeStart } from "./scenarios/node-start.ts";
import { outages } from "./scenarios/outages.ts";
import { refusals } from "./scenarios/refusals.ts";
import { upgrade } from "./scenarios/upgrade.ts";
import type { Scenario } from "./world.ts";

/**
 * Every scenario by its name, in the order in which they run: certificates before the outages, after which kubelets
 * are slow to see that a secret changed; last the one that takes the agents away.
 */
export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  firstCall,
  clients,
  changes,
  refusals,
  addresses,
  interception,
  nodeStart,
  upgrade,
  certificates,
  outages,
  agents,
};
