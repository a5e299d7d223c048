import type { Execute, Executed } from "./execute.ts";
import type { InterceptionRules } from "./interception-rules.ts";
import { ruleParameters } from "./iptables-rule.ts";
import { ruleFailure, ruleProgram } from "./rule-program.ts";
import type { RuleTarget } from "./rule-target.ts";

/** Copies of the rule that are removed at most; some other program may have doubled it. */
const COPIES_MAX = 16;

/**
 * Kiam's one rule, with the `iptables` program. It is added behind those that are there.
 *
 * @throws {AppError} `invalid_settings` when interface, address or port can't be in a rule.
 */
export function iptablesRules(target: RuleTarget, exec?: Execute): InterceptionRules {
  const run = ruleProgram("iptables", exec);
  const rule = ruleParameters(target);
  const iptables = (action: "-A" | "-C" | "-D", signal: AbortSignal): Promise<Executed> =>
    run(["-t", "nat", action, "PREROUTING", ...rule, "--wait"], signal);
  const change = async (action: "-A" | "-D", signal: AbortSignal): Promise<void> => {
    const changed = await iptables(action, signal);
    if (changed.status !== 0) throw ruleFailure("iptables", changed);
  };
  const stand = async (signal: AbortSignal): Promise<boolean> => {
    const checked = await iptables("-C", signal);
    // 1 says that there is no such rule; anything else says that nobody knows.
    if (checked.status > 1) throw ruleFailure("iptables", checked);
    return checked.status === 0;
  };

  return {
    removal: /^delete rule ip nat PREROUTING /,
    stand,
    areIntact: stand,
    apply: (signal) => change("-A", signal),
    remove: async (signal) => {
      for (let copies = 0; copies < COPIES_MAX && (await stand(signal)); copies += 1) {
        await change("-D", signal);
      }
    },
  };
}
