import { AGENT_SETTINGS } from "../agent/settings.ts";
import { INTERCEPT_SETTINGS } from "../intercept/settings.ts";
import { HEALTH_SETTINGS } from "../health/settings.ts";
import { SERVER_SETTINGS } from "../server/settings.ts";
import { checkAgent, checkServer } from "./checks.ts";
import type { Command } from "./command.ts";

/** Every command; each one's code is loaded only when it runs. */
export const COMMANDS = {
  agent: {
    summary: "run the agent",
    settings: AGENT_SETTINGS,
    check: checkAgent,
    load: () => import("../agent/main.ts"),
  },
  "agent intercept": {
    summary: "put the agent's rules in place, or remove them, and leave",
    settings: INTERCEPT_SETTINGS,
    load: () => import("../intercept/main.ts"),
  },
  server: {
    summary: "run the server",
    settings: SERVER_SETTINGS,
    check: checkServer,
    load: () => import("../server/main.ts"),
  },
  health: {
    summary: "run the health check",
    settings: HEALTH_SETTINGS,
    load: () => import("../health/main.ts"),
  },
} as const satisfies Record<string, Command>;
