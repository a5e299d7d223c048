/**
 * What has changed, in its order, each change under the next revision. The oldest are forgotten: who was
 * there last before them can't be told the difference any more.
 */
export class ChangeLog<T> {
  readonly #entriesMax: number;
  #entries: T[] = [];
  /** The revision before the first entry. */
  #floor: number;

  /** @param floor the revision before the first change */
  constructor(entriesMax: number, floor: number) {
    this.#entriesMax = entriesMax;
    this.#floor = floor;
  }

  /** The last change's. */
  get revision(): number {
    return this.#floor + this.#entries.length;
  }

  add(entry: T): void {
    this.#entries.push(entry);
    // Twice as many for a moment, so that not every change moves them all.
    if (this.#entries.length < 2 * this.#entriesMax) return;
    this.#floor += this.#entriesMax;
    this.#entries = this.#entries.slice(this.#entriesMax);
  }

  /** What came after a revision; undefined when that is no longer, or was never, known. */
  since(revision: number): readonly T[] | undefined {
    if (revision < this.#floor || revision > this.revision) return undefined;
    return this.#entries.slice(revision - this.#floor);
  }
}
