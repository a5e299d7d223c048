import type { Execute } from "./execute.ts";
import type { Endpoint } from "./intercepted-addresses.ts";
import type { InterceptionRules } from "./interception-rules.ts";
import { ruleFailure, ruleProgram } from "./rule-program.ts";

/**
 * Routing rules of one address, in the order in which they are added: nothing that the node forwards has
 * a way there, while what it sends itself (`iif lo`) goes as it went before, and at every moment.
 */
const RULES = [
  "pref 13 to ADDRESS nop",
  "pref 11 to ADDRESS iif lo goto 13",
  "pref 12 to ADDRESS prohibit",
] as const;

/**
 * Rules that stand behind routing rules, so that pods have no way to the node's role either while the
 * others are gone: `nft flush ruleset`, as firewalls do it at their start, takes no routing rule away.
 * Redirected requests go to the node itself, and are not concerned.
 */
export function fenced(
  rules: InterceptionRules,
  endpoints: readonly Endpoint[],
  exec?: Execute,
): InterceptionRules {
  const run = ruleProgram("ip", exec);
  const wanted = {
    "-4": endpoints.flatMap(({ ip }) => rulesOf(ip)),
    "-6": endpoints.flatMap(({ ip6 }) => rulesOf(ip6)),
  } as const;
  const families = ["-4", "-6"] as const;

  /** What is to be added. A kernel without IPv6 lacks nothing of it. */
  const missing = async (signal: AbortSignal): Promise<readonly (readonly string[])[]> => {
    const lacking = families.map(async (family) => {
      const listed = await run([family, "rule", "list"], signal);
      if (listed.status !== 0) {
        if (family === "-6") return [];
        throw ruleFailure("ip", listed);
      }
      const there = listed.stdout.split("\n").map(asAdded);
      return wanted[family]
        .filter((rule) => !there.includes(rule))
        .map((rule) => [family, "rule", "add", ...rule.split(" ")]);
    });
    return (await Promise.all(lacking)).flat();
  };
  const isWhole = async (signal: AbortSignal): Promise<boolean> =>
    (await missing(signal)).length === 0;

  return {
    removal: rules.removal,
    stand: async (signal) => (await isWhole(signal)) && rules.stand(signal),
    areIntact: async (signal) => (await isWhole(signal)) && rules.areIntact(signal),
    apply: async (signal) => {
      for (const add of await missing(signal)) {
        const added = await run(add, signal);
        // Another agent, or the one before this, may add it at the same moment.
        const isThere = /file exists/i.test(added.stderr);
        if (added.status !== 0 && !isThere) throw ruleFailure("ip", added);
      }
      await rules.apply(signal);
    },
    remove: async (signal) => {
      await rules.remove(signal);
      for (const family of families) {
        for (const rule of wanted[family].toReversed()) {
          // Fails where there is none, which is what is wanted.
          await run([family, "rule", "del", ...rule.split(" ")], signal);
        }
      }
    },
  };
}

function rulesOf(address: string): readonly string[] {
  return RULES.map((rule) => rule.replace("ADDRESS", address));
}

/** `12:	from all to 169.254.169.254 prohibit`, as it is listed, in the words that added it. */
function asAdded(line: string): string {
  return line.trim().replace(/^(\d+):\s+from all /, "pref $1 ");
}
