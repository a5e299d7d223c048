import type { Clock } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import { type Execute, type Executed, executeFile } from "./execute.ts";
import { type RuleTarget, ruleParameters } from "./iptables-rule.ts";

/** What happens to the rule. */
export type InterceptionEvent =
  | { readonly type: "added" }
  | { readonly type: "present" }
  | { readonly type: "restored" }
  | { readonly type: "removed" }
  | { readonly type: "failed"; readonly error: AppError };

export interface InterceptionOptions extends RuleTarget {
  readonly clock: Clock;
  readonly observe: (event: InterceptionEvent) => void;
  readonly exec?: Execute;
  /** How often the rule is looked for. */
  readonly everyMs?: number;
}

/** The rule that brings pods' metadata traffic to the agent. */
export interface Interception {
  /**
   * Puts the rule in place unless it is there.
   *
   * @throws {AppError} `invalid_settings` saying what is missing: the program, or a capability.
   */
  ensure(signal: AbortSignal): Promise<void>;
  /** Looks for the rule every few seconds and restores it. Ends only by the signal's reason. */
  reconcile(signal: AbortSignal): Promise<never>;
  /**
   * Removes the rule. To be called only when that was asked for: without it pods reach the
   * node's own role whenever no agent runs.
   *
   * @throws {AppError} `invalid_settings` when it is still there after every try.
   */
  remove(signal: AbortSignal): Promise<void>;
}

const CHECK_EVERY_MS = 5_000;
/** As many tries and pauses as Kiam makes. */
const REMOVE_TRIES = 30;
const REMOVE_PAUSE_MS = 500;
/** Copies of the rule that are removed at most; some other program may have doubled it. */
const COPIES_MAX = 16;

/**
 * Interception with the `iptables` program.
 *
 * @throws {AppError} `invalid_settings` when interface, address or port can't be in a rule.
 */
export function interception(options: InterceptionOptions): Interception {
  const { clock, observe, exec = executeFile, everyMs = CHECK_EVERY_MS } = options;
  const rule = ruleParameters(options);
  const iptables = (action: "-A" | "-C" | "-D", signal: AbortSignal): Promise<Executed> =>
    execute(exec, ["-t", "nat", action, "PREROUTING", ...rule, "--wait"], signal);

  const isPresent = async (signal: AbortSignal): Promise<boolean> => {
    const checked = await iptables("-C", signal);
    // 1 says that there is no such rule; anything else says that nobody knows.
    if (checked.status > 1) throw failure(checked);
    return checked.status === 0;
  };
  const add = async (signal: AbortSignal): Promise<void> => {
    const added = await iptables("-A", signal);
    if (added.status !== 0) throw failure(added);
  };
  const removeCopies = async (signal: AbortSignal): Promise<void> => {
    for (let copies = 0; copies < COPIES_MAX && (await isPresent(signal)); copies += 1) {
      const removed = await iptables("-D", signal);
      if (removed.status !== 0) throw failure(removed);
    }
  };

  return {
    ensure: async (signal) => {
      const present = await isPresent(signal);
      if (!present) await add(signal);
      observe({ type: present ? "present" : "added" });
    },
    reconcile: async (signal) => {
      for (;;) {
        await clock.sleep(everyMs, signal);
        try {
          if (await isPresent(signal)) continue;
          await add(signal);
          observe({ type: "restored" });
        } catch (error) {
          signal.throwIfAborted();
          observe({ type: "failed", error: AppError.from(error) });
        }
      }
    },
    remove: async (signal) => {
      for (let tries = 1; ; tries += 1) {
        try {
          await removeCopies(signal);
          observe({ type: "removed" });
          return;
        } catch (error) {
          signal.throwIfAborted();
          observe({ type: "failed", error: AppError.from(error) });
          if (tries === REMOVE_TRIES) throw error;
        }
        await clock.sleep(REMOVE_PAUSE_MS, signal);
      }
    },
  };
}

async function execute(
  exec: Execute,
  parameters: readonly string[],
  signal: AbortSignal,
): Promise<Executed> {
  try {
    return await exec("iptables", parameters, signal);
  } catch (error) {
    signal.throwIfAborted();
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    const why = missing
      ? "the program iptables is not in the image; install it, or leave --iptables out"
      : "iptables did not finish";
    throw new AppError("invalid_settings", `--iptables: ${why}`, { cause: error });
  }
}

function failure({ status, stderr }: Executed): AppError {
  const denied = /permission denied|must be root|not permitted/i.test(stderr);
  const why = denied
    ? "iptables was not permitted; the container needs the capability NET_ADMIN and the host's network"
    : `iptables failed with status ${status}: ${stderr.trim().split("\n", 1)[0] ?? ""}`;
  return new AppError("invalid_settings", `--iptables: ${why}`, { cause: new Error(stderr) });
}
