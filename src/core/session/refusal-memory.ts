import type { Pause } from "../backoff.ts";
import type { ErrorCode } from "../errors.ts";

/** A trust policy or a role does not change by itself; minutes pass until STS is asked again. */
const DENIED_MS = 300_000;
const THROTTLED: Pause = { firstMs: 5_000, mostMs: 300_000 };
const UNAVAILABLE: Pause = { firstMs: 500, mostMs: 30_000 };

/** How long a failure is remembered before STS is asked again, by its class. */
export function rememberMs(
  code: ErrorCode,
  failures: number,
  backoff: (failures: number, pause: Pause) => number,
): number {
  switch (code) {
    case "sts_denied":
      return DENIED_MS;
    case "sts_throttled":
      return backoff(failures, THROTTLED);
    default:
      return backoff(failures, UNAVAILABLE);
  }
}
