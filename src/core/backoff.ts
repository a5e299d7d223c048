import type { Random } from "./clock.ts";

/** How long to pause between tries. Both bounds are milliseconds. */
export interface Pause {
  readonly firstMs: number;
  readonly mostMs: number;
}

/**
 * The pause before try number `failures + 1`: doubled at each failure up to `mostMs`, then spread
 * over the upper half of that span so that many clients don't come back together.
 */
export function backoffMs(failures: number, { firstMs, mostMs }: Pause, random: Random): number {
  // 2 ** 30 doublings exceed any bound in use; the cap keeps the power finite.
  const full = Math.min(mostMs, firstMs * 2 ** Math.min(failures, 30));
  return full / 2 + (full / 2) * random();
}
