import { setTimeout as sleep } from "node:timers/promises";

const TICK_MS = 1;

/** Calls `act` `count` times, `perSecond` times a second; what a late tick missed, the next one does. */
export async function paced(count: number, perSecond: number, act: () => void): Promise<void> {
  const started = performance.now();
  for (let done = 0; done < count;) {
    const due = Math.min(count, ((performance.now() - started) / 1_000) * perSecond);
    for (; done < due; done += 1) act();
    await sleep(TICK_MS);
  }
}
