import { isIPv4 } from "node:net";
import type { Random } from "#core/clock.ts";
import type { HttpHandler } from "#edges/http/http-message.ts";
import { Interception } from "#edges/linux/interception.ts";
import { listeningSockets } from "#edges/linux/listening-sockets.ts";
import { followRemovals } from "#edges/linux/rule-removals.ts";
import { askAsPod, hasIPv6 } from "#edges/linux/scratch-pod.ts";
import type { Log } from "#runtime/log.ts";
import type { Run } from "#runtime/run.ts";
import type { Task } from "#runtime/together.ts";
import { interceptedBy, type RulesOptions, rulesFor } from "../intercept/rules.ts";
import { type SelfTest, selfTest } from "./self-test.ts";
import type { AgentSettings } from "./settings.ts";

export interface InterceptOptions extends Omit<RulesOptions, "settings"> {
  readonly settings: RulesOptions["settings"] &
    Pick<AgentSettings, "iptablesRemove" | "interceptionSelfTest">;
  readonly clock: ConstructorParameters<typeof Interception>[0]["clock"];
  readonly random: Random;
  readonly log: Log;
}

/** What an agent does about its rules while it runs. */
export interface AgentInterception {
  /** Puts this agent's rules in the place of an earlier one's; to be called once it answers. */
  takeOver(signal: AbortSignal): Promise<void>;
  /** Why pods can't be said to be intercepted, where that is to be proven. */
  unreadiness(): string | undefined;
  /** The agent's handler, through which what is to be proven is seen. */
  hearing(handler: HttpHandler): HttpHandler;
  /** What goes on until the process's end. */
  readonly tasks: readonly Task[];
}

/** Shorter than a process has for stopping, so that rules that can't be removed are still told of. */
const REMOVE_WITHIN_MS = 20_000;
const NOT_TESTED = {
  unreadiness: () => undefined,
  hearing: (handler: HttpHandler): HttpHandler => handler,
} as const;
const NOTHING: AgentInterception = { ...NOT_TESTED, takeOver: async () => {}, tasks: [] };

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
  const tested = await selfTestFor({ ...options, random }, signal);
  return {
    ...(tested ?? NOT_TESTED),
    takeOver: (stop) => interception.takeOver(stop),
    tasks: [
      (stop) => interception.reconcile(stop),
      (stop) => followRemovals(removals, stop),
      ...(tested === undefined ? [] : [tested.run]),
    ],
  };
}

/** The test that the settings ask for, of what they have intercepted. */
async function selfTestFor(
  options: Pick<InterceptOptions, "settings" | "clock" | "random" | "observe" | "exec">,
  signal: AbortSignal,
): Promise<SelfTest | undefined> {
  const { settings, random, exec } = options;
  if (!settings.interceptionSelfTest) return undefined;
  const intercepted = await interceptedBy(options, signal);
  if (intercepted === undefined) return undefined;
  const { hostInterface } = intercepted;
  const withIPv6 = await hasIPv6();
  return selfTest({
    ...options,
    addresses: intercepted.addresses.filter((address) => withIPv6 || isIPv4(address)),
    ask: (wanted, stop) => askAsPod({ wanted, hostInterface, random, exec }, stop),
    sharers: () => listeningSockets(settings.port),
  });
}
