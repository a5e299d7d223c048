import type { Clock } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import type { InterceptionEvent, InterceptionRules } from "./interception-rules.ts";

export interface InterceptionOptions {
  readonly rules: InterceptionRules;
  readonly clock: Clock;
  readonly observe: (event: InterceptionEvent) => void;
}

const CHECK_EVERY_MS = 5_000;
/** Something that removes the rules as fast as they come back costs no more than this allows. */
const REST_MS = 100;
/** As many tries and pauses as Kiam makes. */
const REMOVE_TRIES = 30;
const REMOVE_PAUSE_MS = 500;

/** Holds the rules in place, from a process's start to its end and beyond. */
export class Interception {
  readonly #rules: InterceptionRules;
  readonly #clock: Clock;
  readonly #observe: (event: InterceptionEvent) => void;
  #called = new AbortController();
  /** Whether the rules that stand are these for sure, and no earlier agent's. */
  #areOurs = false;

  constructor({ rules, clock, observe }: InterceptionOptions) {
    this.#rules = rules;
    this.#clock = clock;
    this.#observe = observe;
  }

  /**
   * Puts the rules in place where there are none. Those of an agent before this one stay until
   * {@link takeOver}: they lead to one that may still answer.
   *
   * @throws {AppError} `invalid_settings` saying what is missing: the program, or a capability.
   */
  async ensure(signal: AbortSignal): Promise<void> {
    if (await this.#rules.stand(signal)) {
      this.#observe({ type: "present" });
      return;
    }
    await this.#rules.apply(signal);
    this.#areOurs = true;
    this.#observe({ type: "added" });
  }

  /**
   * Puts these rules in the place of an earlier agent's; to be called once this one answers.
   *
   * @throws {AppError} as {@link ensure}.
   */
  async takeOver(signal: AbortSignal): Promise<void> {
    if (this.#areOurs || (await this.#rules.areIntact(signal))) return;
    await this.#rules.apply(signal);
  }

  /** Looks at the rules every few seconds, and when it is called, and restores them. Ends by the signal. */
  async reconcile(signal: AbortSignal): Promise<never> {
    for (;;) {
      await this.#pause(signal);
      try {
        if (!(await this.#rules.areIntact(signal))) {
          await this.#rules.apply(signal);
          this.#observe({ type: "restored" });
        }
      } catch (error) {
        signal.throwIfAborted();
        this.#observe({ type: "failed", error: AppError.from(error) });
      }
      await this.#clock.sleep(REST_MS, signal);
    }
  }

  /** Has the rules looked at now. */
  look(): void {
    this.#called.abort();
  }

  /**
   * Removes the rules. To be called only when that was asked for: without them pods reach the node's
   * own role whenever no agent runs.
   *
   * @throws {AppError} `invalid_settings` when they are still there after every try.
   */
  async remove(signal: AbortSignal): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#rules.remove(signal);
        this.#observe({ type: "removed" });
        return;
      } catch (error) {
        signal.throwIfAborted();
        this.#observe({ type: "failed", error: AppError.from(error) });
        if (tries === REMOVE_TRIES) throw error;
      }
      await this.#clock.sleep(REMOVE_PAUSE_MS, signal);
    }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const called = AbortSignal.any([signal, this.#called.signal]);
    await this.#clock.sleep(CHECK_EVERY_MS, called).catch(() => signal.throwIfAborted());
    this.#called = new AbortController();
  }
}
