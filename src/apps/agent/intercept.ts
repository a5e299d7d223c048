import type { InterceptionOptions, Interception } from "#edges/linux/iptables.ts";
import { interception } from "#edges/linux/iptables.ts";
import type { Log } from "#runtime/log.ts";
import type { Run } from "#runtime/run.ts";
import type { AgentSettings } from "./settings.ts";

/** What interception follows of the agent's settings. */
export type InterceptSettings = Pick<
  AgentSettings,
  "iptables" | "iptablesRemove" | "host" | "hostInterface" | "port"
>;

export interface InterceptOptions extends Pick<InterceptionOptions, "clock" | "observe" | "exec"> {
  readonly settings: InterceptSettings;
  readonly log: Log;
}

/** Shorter than a process has for stopping, so that a rule that can't be removed is still told of. */
const REMOVE_WITHIN_MS = 20_000;

/**
 * Puts the rule in place when `--iptables` asks for it. At the process's end it stays, unless
 * `--iptables-remove` asks for its removal: without it pods reach the node's own role (design
 * invariant 3).
 *
 * @returns the rule, to be reconciled; undefined when none was asked for.
 * @throws {AppError} `invalid_settings` when the rule can't be put in place.
 */
export async function intercept(
  { settings, log, ...how }: InterceptOptions,
  { signal, resources }: Run,
): Promise<Interception | undefined> {
  if (!settings.iptables) return undefined;
  const { hostInterface, host, port } = settings;
  const rule = interception({ ...how, hostInterface, hostIp: host, port });
  await rule.ensure(signal);
  resources.defer(async () => {
    if (settings.iptablesRemove) await rule.remove(AbortSignal.timeout(REMOVE_WITHIN_MS));
    else log.say("iptables_kept");
  });
  return rule;
}
