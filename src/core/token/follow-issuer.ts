import { backoffMs } from "../backoff.ts";
import type { Clock, Random } from "../clock.ts";
import { AppError } from "../errors.ts";

/** Who issues the cluster's service account tokens, and its keys: JSON Web Keys as JSON. */
export interface TokenIssuer {
  readonly issuer: string;
  readonly keys: readonly string[];
}

/** What became of asking for the issuer; each is told once, when it is news. */
export type IssuerEvent =
  | { readonly type: "changed"; readonly issuer: TokenIssuer }
  | { readonly type: "failed"; readonly error: AppError };

export interface FollowIssuerOptions {
  readonly read: (signal: AbortSignal) => Promise<TokenIssuer>;
  readonly use: (issuer: TokenIssuer) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  readonly observe?: (event: IssuerEvent) => void;
}

/**
 * A key that is added shortly before it signs must be known soon; one that is taken away must not be
 * believed for long. Milliseconds.
 */
const EVERY_MS = 60_000;
const PAUSE = { firstMs: 1_000, mostMs: EVERY_MS };

/**
 * Asks for the issuer's keys again and again, and hands them on when they are others. While nobody can say, the
 * last ones stay in use.
 *
 * @throws the signal's reason, and nothing else.
 */
export async function followIssuer(options: FollowIssuerOptions): Promise<never> {
  const { read, use, clock, random, signal, observe = () => {} } = options;
  let known = "";
  let failure: string | undefined;
  for (let failures = 0; ;) {
    try {
      const issuer = await read(signal);
      failures = 0;
      failure = undefined;
      const text = JSON.stringify(issuer);
      if (text !== known) {
        known = text;
        use(issuer);
        observe({ type: "changed", issuer });
      }
    } catch (caught) {
      signal.throwIfAborted();
      const error = AppError.from(caught);
      failures += 1;
      if (error.message !== failure) observe({ type: "failed", error });
      failure = error.message;
    }
    const pauseMs =
      failures === 0 ? EVERY_MS * (0.75 + random() / 2) : backoffMs(failures - 1, PAUSE, random);
    await clock.sleep(pauseMs, signal);
  }
}
