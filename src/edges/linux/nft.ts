import type { Execute } from "./execute.ts";
import type { InterceptionEvent, InterceptionRules } from "./interception-rules.ts";
import { type Family, nftRemoval, nftRuleset, type RulesetTarget } from "./nft-ruleset.ts";
import { ruleFailure, ruleProgram } from "./rule-program.ts";

export interface NftOptions {
  readonly target: Omit<RulesetTarget, "otherIp">;
  /** The target's `otherIp`, asked for anew at each look, so that the rules follow it. */
  readonly otherIp: (signal: AbortSignal) => Promise<string | undefined>;
  readonly observe: (event: InterceptionEvent) => void;
  readonly exec?: Execute | undefined;
}

const SINCE = /comment "since (?<since>\d+)"/;

/**
 * Our own tables, with the `nft` program: each change is one transaction, so that no packet sees half
 * of it. Whether they are intact is told by what the kernel listed right after they were made, and what
 * they were made of.
 *
 * Two agents overlap during an upgrade, and their rules may differ. Those of the one that started later
 * count: the other takes them for its own, or the two would replace each other's for ever.
 *
 * @throws {AppError} `invalid_settings` when interface, address or port can't be in a rule.
 */
export function nftRules({ target, otherIp, observe, exec }: NftOptions): InterceptionRules {
  const nft = ruleProgram("nft", exec);
  let families: readonly Family[] = ["inet", "bridge"];
  let made:
    | { readonly otherIp: string | undefined; readonly listed: string | undefined }
    | undefined;
  // Said before anything is done.
  nftRuleset(target, families);

  /** Our tables as the kernel has them; undefined when one is missing. */
  const list = async (of: readonly Family[], signal: AbortSignal): Promise<string | undefined> => {
    const tables: string[] = [];
    // One by one: nft 1.0.6 finds none of two tables that it is asked for at once.
    for (const family of of) {
      const listed = await nft(["--stateless", "list", "table", family, "rolecall"], signal);
      if (/no such file or directory/i.test(listed.stderr)) return undefined;
      if (listed.status !== 0) throw ruleFailure("nft", listed);
      tables.push(listed.stdout);
    }
    return tables.join("");
  };
  /** One transaction; a kernel that knows no tables of bridges gets it without them. */
  const transact = async (
    text: (of: readonly Family[]) => string,
    signal: AbortSignal,
  ): Promise<void> => {
    const done = await nft(["-f", "-"], signal, text(families));
    if (done.status === 0) return;
    const lesser = await nft(["-f", "-"], signal, text(["inet"]));
    if (lesser.status !== 0) throw ruleFailure("nft", done);
    families = ["inet"];
    observe({ type: "bridges_open", reason: done.stderr.trim().split("\n", 1)[0] ?? "" });
  };

  return {
    removal: /^delete rule (?:inet|bridge) rolecall /,
    stand: async (signal) => (await list(["inet"], signal)) !== undefined,
    areIntact: async (signal) => {
      const listed = await list(families, signal);
      if (listed === undefined) return false;
      if (Number(SINCE.exec(listed)?.groups?.["since"]) > target.since) return true;
      return listed === made?.listed && (await otherIp(signal)) === made.otherIp;
    },
    apply: async (signal) => {
      const all = { ...target, otherIp: await otherIp(signal) };
      await transact((of) => nftRuleset(all, of), signal);
      made = { otherIp: all.otherIp, listed: await list(families, signal) };
    },
    remove: (signal) => transact(nftRemoval, signal),
  };
}
