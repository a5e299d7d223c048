import type { STSClient } from "@aws-sdk/client-sts";
import { backoffMs } from "#core/backoff.ts";
import type { Clock, Random } from "#core/clock.ts";
import { findServerIdentity } from "#edges/aws/server-identity.ts";
import type { Log } from "#runtime/log.ts";

const PAUSE = { firstMs: 500, mostMs: 30_000 };

export interface DetectOptions {
  readonly sts: STSClient;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  /** Told the server's own ARN, once. */
  readonly use: (arn: string) => void;
}

/** Asks STS who the server is until it answers; the process stays up meanwhile (invariant 9). */
export async function detectBaseArn(
  { sts, log, clock, random, use }: DetectOptions,
  signal: AbortSignal,
): Promise<void> {
  for (let failures = 0; ; failures += 1) {
    try {
      const arn = await findServerIdentity(sts, signal);
      use(arn);
      log.say("identity_found", { arn });
      return;
    } catch (error) {
      signal.throwIfAborted();
      log.say("identity_failed", { error });
    }
    await clock.sleep(backoffMs(failures, PAUSE, random), signal);
  }
}
