/** Work that is bounded in how much runs at once and how much waits; urgent work goes first. */
export class FlightQueue {
  readonly #runningMax: number;
  readonly #waitingMax: number;
  readonly #urgent: (() => Promise<void>)[] = [];
  readonly #patient: (() => Promise<void>)[] = [];
  #running = 0;

  constructor(runningMax: number, waitingMax: number) {
    this.#runningMax = runningMax;
    this.#waitingMax = waitingMax;
  }

  get running(): number {
    return this.#running;
  }

  /** Takes the work, or says false when too much waits. `work` must not reject. */
  offer(work: () => Promise<void>, isUrgent: boolean): boolean {
    const isFree = this.#running < this.#runningMax;
    if (!isFree && this.#urgent.length + this.#patient.length >= this.#waitingMax) return false;
    (isUrgent ? this.#urgent : this.#patient).push(work);
    this.#startNext();
    return true;
  }

  #startNext(): void {
    if (this.#running >= this.#runningMax) return;
    const work = this.#urgent.shift() ?? this.#patient.shift();
    if (work === undefined) return;
    this.#running += 1;
    void work().finally(() => {
      this.#running -= 1;
      this.#startNext();
    });
  }
}
