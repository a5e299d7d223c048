/** One measured figure, as `--json` prints it and the results file keeps it. */
export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: Unit;
  /** The same of what it is compared with, measured in the same rounds; null where there is nothing. */
  readonly floor: number | null;
  /** Median over the rounds of value / floor. */
  readonly ratio: number | null;
  readonly target: string | null;
  /** Null where there is no target. */
  readonly met: boolean | null;
}

export type Unit = "requests/s" | "µs" | "ms" | "MB" | "bytes";

/** A bound of the value, or of its ratio to the floor. */
export interface Target {
  readonly of: "value" | "ratio";
  readonly bound: "at most" | "at least";
  readonly limit: number;
}

/** What was measured, one number a round; the floors are those of the same rounds. */
export interface Samples {
  readonly values: readonly number[];
  readonly floors?: readonly number[];
}

/** Makes a figure of its rounds: medians, so that one disturbed round does not decide. */
export function rowOf(
  name: string,
  unit: Unit,
  { values, floors }: Samples,
  target: Target | undefined,
): Row {
  const value = median(values);
  const floor = floors === undefined ? null : median(floors);
  const ratio =
    floors === undefined ? null : median(values.map((one, round) => one / (floors[round] ?? NaN)));
  return {
    name,
    value: rounded(value),
    unit,
    floor: floor === null ? null : rounded(floor),
    ratio: ratio === null ? null : rounded(ratio),
    target: target === undefined ? null : textOf(target, unit),
    met: target === undefined ? null : isMet(target, target.of === "value" ? value : ratio),
  };
}

/** The middle one, or the mean of the middle two; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

function isMet({ bound, limit }: Target, measured: number | null): boolean {
  if (measured === null || Number.isNaN(measured)) return false;
  return bound === "at most" ? measured <= limit : measured >= limit;
}

function textOf({ of, bound, limit }: Target, unit: Unit): string {
  return `${bound === "at most" ? "≤" : "≥"} ${limit}${of === "ratio" ? "×" : ` ${unit}`}`;
}

/** Three digits at least are kept, and never more than two behind the point. */
function rounded(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Math.round(value * 100) / 100;
}
