import type { Random } from "#core/clock.ts";
import { Interception } from "#edges/linux/interception.ts";
import { followRemovals } from "#edges/linux/rule-removals.ts";
import type { Log } from "#runtime/log.ts";
import type { Run } from "#runtime/run.ts";
import type { Task } from "#runtime/together.ts";
import { type RulesOptions, rulesFor } from "../intercept/rules.ts";
import type { AgentSettings } from "./settings.ts";

export interface InterceptOptions extends Omit<RulesOptions, "settings"> {
  readonly settings: RulesOptions["settings"] & Pick<AgentSettings, "iptablesRemove">;
  readonly clock: ConstructorParameters<typeof Interception>[0]["clock"];
  readonly random: Random;
  readonly log: Log;
}

/** What an agent does about its rules while it runs. */
export interface AgentInterception {
  /** Puts this agent's rules in the place of an earlier one's; to be called once it answers. */
  takeOver(signal: AbortSignal): Promise<void>;
  /** What goes on until the process's end. */
  readonly tasks: readonly Task[];
}

/** Shorter than a process has for stopping, so that rules that can't be removed are still told of. */
const REMOVE_WITHIN_MS = 20_000;
const NOTHING: AgentInterception = { takeOver: async () => {}, tasks: [] };

/**
 * Puts the rules in place that the settings ask for. At the process's end they stay, unless
 * `--iptables-remove` asks for their removal: without them pods reach the node's own role (design
 * invariant 3).
 *
 * @throws {AppError} `invalid_settings` when they can't be put in place.
 */
export async function intercept(
  { random, log, ...options }: InterceptOptions,
  { signal, resources }: Run,
): Promise<AgentInterception> {
  const { settings, clock, observe } = options;
  const rules = rulesFor(options);
  if (rules === undefined) return NOTHING;
  const interception = new Interception({ rules, clock, observe });
  await interception.ensure(signal);
  resources.defer(async () => {
    if (settings.iptablesRemove) await interception.remove(AbortSignal.timeout(REMOVE_WITHIN_MS));
    else log.say("interception_kept");
  });
  const removals = {
    removal: rules.removal,
    onRemoval: () => interception.look(),
    onSilence: (reason: string) => observe({ type: "unwatched", reason }),
    clock,
    random,
  };
  return {
    takeOver: (stop) => interception.takeOver(stop),
    tasks: [(stop) => interception.reconcile(stop), (stop) => followRemovals(removals, stop)],
  };
}
