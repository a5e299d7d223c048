import { backoffMs } from "#core/backoff.ts";
import type { Clock, Random } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import type { HttpHandler } from "#edges/http/http-message.ts";
import type { InterceptionEvent } from "#edges/linux/interception-rules.ts";

export interface SelfTestOptions {
  /** Addresses that pods' requests are intercepted at. */
  readonly addresses: readonly string[];
  /**
   * Asks from where a pod would; each is `ADDRESS/PATH`. Resolves to what each was answered, its status line;
   * throws `invalid_settings` when nothing can be asked here.
   */
  readonly ask: (
    wanted: readonly string[],
    signal: AbortSignal,
  ) => Promise<ReadonlyMap<string, string>>;
  /** How many agents share the port now: a request may come to any of them. */
  readonly sharers: () => Promise<number>;
  readonly clock: Clock;
  readonly random: Random;
  readonly observe: (event: InterceptionEvent) => void;
}

/** Proves once that what pods ask comes to this agent. */
export interface SelfTest {
  /** Why pods can't be said to be served; undefined once it is proven, or can't be. */
  unreadiness(): string | undefined;
  /** The handler, and what is heard by it. */
  hearing(handler: HttpHandler): HttpHandler;
  /** Asks until it is proven, ever more rarely. */
  run(signal: AbortSignal): Promise<void>;
}

const AGAIN = { firstMs: 500, mostMs: 10_000 } as const;
/** With two agents at the port, all of so many requests miss this one once in 256 times. */
const TRIES_AMONG_MANY = 8;

/**
 * Each request has a target that only this agent knows. It is proven when each address has answered, and
 * this agent has heard what it was asked: another program at its port answers too, and so may the node's
 * metadata service.
 */
export function selfTest(options: SelfTestOptions): SelfTest {
  const { addresses, ask, sharers, clock, random, observe } = options;
  const heard = new Map<string, boolean>();
  let reason: string | undefined = "the self-test of interception has not passed yet";

  /** @returns what is wrong; empty when nothing is. */
  const failures = async (signal: AbortSignal): Promise<readonly string[]> => {
    const tries = (await sharers()) > 1 ? TRIES_AMONG_MANY : 1;
    heard.clear();
    const byAddress = new Map(
      addresses.map((address) => [
        address,
        Array.from({ length: tries }, () => `/ping?self-test=${nonce(random)}`),
      ]),
    );
    for (const target of [...byAddress.values()].flat()) heard.set(target, false);
    const wanted = [...byAddress].flatMap(([address, targets]) =>
      targets.map((target) => address + target),
    );
    const answers = await ask(wanted, signal);
    return [...byAddress].flatMap(([address, targets]) => {
      const found = targets.map((target) => answers.get(address + target) ?? "no answer");
      const bad = found.find((line) => !line.startsWith("HTTP/1.1 200 "));
      if (bad !== undefined) return [`${address}: ${bad}`];
      const isHeard = targets.some((target) => heard.get(target));
      return isHeard ? [] : [`${address}: an answer, but not by this agent`];
    });
  };

  return {
    unreadiness: () => reason,
    hearing: (handler) => (request) => {
      if (reason !== undefined && heard.has(request.target)) heard.set(request.target, true);
      return handler(request);
    },
    async run(signal) {
      for (let tries = 0; reason !== undefined; tries += 1) {
        const started = performance.now();
        try {
          const found = await failures(signal);
          if (found.length === 0) {
            reason = undefined;
            observe({ type: "proved", ms: performance.now() - started });
          } else {
            reason = `interception does not work: ${found.join(", ")}`;
            observe({ type: "unproved", found });
            await clock.sleep(backoffMs(tries, AGAIN, random), signal);
          }
        } catch (error) {
          signal.throwIfAborted();
          reason = undefined;
          observe({ type: "unprovable", reason: AppError.from(error).message });
        }
      }
    },
  };
}

function nonce(random: Random): string {
  return Math.floor(random() * Number.MAX_SAFE_INTEGER).toString(36);
}
