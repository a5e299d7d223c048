import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { backoffMs } from "#core/backoff.ts";
import type { Clock, Random } from "#core/clock.ts";
import { TOOL_ENVIRONMENT } from "./execute.ts";

export interface RuleRemovalsOptions {
  /** How `nft monitor` tells of a removal that matters. */
  readonly removal: RegExp;
  /** Called at each, and when some may have been missed. */
  readonly onRemoval: () => void;
  /** Told why there is no word from the kernel now. */
  readonly onSilence: (reason: string) => void;
  readonly clock: Clock;
  readonly random: Random;
  /** Says what the kernel removes, a line each; `nft monitor` when absent. */
  readonly monitor?: readonly [string, ...string[]];
}

/** Rules of ours don't depend on what is in the kernel besides them, so that it need not be read for it. */
const MONITOR = ["nft", "monitor", "destroy", "rules"] as const;
const AGAIN = { firstMs: 1_000, mostMs: 60_000 } as const;
/** A monitor that stayed as long is a good one, whatever ended it. */
const GOOD_MS = 60_000;

/**
 * Follows what the kernel says of rules that are deleted, iptables' included where they are made with
 * nftables. A monitor that ends is started again, ever later. Ends only by the signal's reason.
 */
export async function followRemovals(
  options: RuleRemovalsOptions,
  signal: AbortSignal,
): Promise<never> {
  const { onRemoval, onSilence, clock, random } = options;
  for (let failures = 0; ; failures += 1) {
    const since = clock.now();
    const reason = await monitorOnce(options, signal);
    signal.throwIfAborted();
    if (clock.now() - since > GOOD_MS) failures = 0;
    onSilence(reason);
    await clock.sleep(backoffMs(failures, AGAIN, random), signal);
    onRemoval();
  }
}

/** @returns why it ended. */
async function monitorOnce(
  { removal, onRemoval, monitor = MONITOR }: RuleRemovalsOptions,
  signal: AbortSignal,
): Promise<string> {
  const [program, ...parameters] = monitor;
  const child = spawn(program, parameters, {
    env: TOOL_ENVIRONMENT,
    stdio: ["ignore", "pipe", "pipe"],
    signal,
    killSignal: "SIGKILL",
  });
  let said = "";
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (removal.test(line)) onRemoval();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(0, SAID_MAX);
  });
  try {
    const [code, killedBy] = (await once(child, "close")) as [number | null, string | null];
    return said.trim().split("\n", 1)[0] || `${program} ended with ${code ?? killedBy}`;
  } catch (error) {
    return (error as Error).message;
  }
}

const SAID_MAX = 1_024;
