import type { Clock } from "#core/clock.ts";

/** How a server treats its connections, all in milliseconds (Kiam's `--grpc-…-duration` flags). */
export interface ServerKeepalive {
  /** Between two pings; 10 s in Kiam. */
  readonly timeMs: number;
  /** How long an answer to a ping is waited for; 2 s in Kiam. */
  readonly timeoutMs: number;
  /** After this long without a call the connection is closed gracefully. */
  readonly idleMs: number;
  /** At this age, ±10 %, the connection is closed gracefully. */
  readonly ageMs: number;
  /** How long calls may go on after that. */
  readonly ageGraceMs: number;
}

/** How a client watches over its connections, all in milliseconds. */
export interface ClientKeepalive {
  /** Between two pings while calls are open; 10 s in Kiam. */
  readonly timeMs: number;
  /** How long an answer to a ping is waited for; 2 s in Kiam. */
  readonly timeoutMs: number;
  /** Whether to ping without open calls too. Kiam's servers then cut the connection after some pings. */
  readonly permitWithoutStream?: boolean;
}

interface Pingable {
  readonly destroyed: boolean;
  ping(callback: (error: Error | null) => void): boolean;
}

/** Whether the peer answers a ping in time. Never rejects. */
export async function answersPing(
  session: Pingable,
  timeoutMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<boolean> {
  if (session.destroyed) return false;
  const answered = Promise.withResolvers<boolean>();
  const done = new AbortController();
  try {
    // False when as many pings are outstanding as may be: the peer answered none of them.
    if (!session.ping((error) => answered.resolve(error === null))) return false;
  } catch {
    // The session ended between the check and the ping.
    return false;
  }
  const timedOut = clock.sleep(timeoutMs, AbortSignal.any([signal, done.signal])).then(
    () => false,
    () => false,
  );
  try {
    return await Promise.race([answered.promise, timedOut]);
  } finally {
    done.abort();
  }
}
