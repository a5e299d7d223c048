import type { Clock } from "#core/clock.ts";

/** The longest span that one timer holds; a longer one fires at once in Node. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The machine's own time. Instants follow its wall clock, spans its monotonic one. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    for (let left = ms; left > TIMER_MS_MAX; left -= TIMER_MS_MAX) {
      await pause(TIMER_MS_MAX, signal);
    }
    await pause(ms > TIMER_MS_MAX ? ms % TIMER_MS_MAX : ms, signal);
  },
};

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const wake = (): void => {
      signal.removeEventListener("abort", abort);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    signal.addEventListener("abort", abort, { once: true });
  });
}
