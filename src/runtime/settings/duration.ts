const UNIT_MS = new Map([
  ["ns", 1e-6],
  ["us", 1e-3],
  ["µs", 1e-3],
  ["μs", 1e-3],
  ["ms", 1],
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
]);

/** Go's largest duration, 2^63-1 ns, in whole milliseconds. */
const DURATION_MS_MAX = 9_223_372_036_854;

/**
 * Reads a duration as Go writes it (`1h30m`, `100ms`, `-2s`), in milliseconds.
 *
 * @throws {Error} with the words of Go's `time.ParseDuration`.
 */
export function parseDuration(text: string): number {
  const quoted = JSON.stringify(text);
  const invalid = (): Error => new Error(`time: invalid duration ${quoted}`);
  const unsigned = text.replace(/^[-+]/, "");
  if (unsigned === "0") return 0;
  if (unsigned === "") throw invalid();

  let total = 0;
  let rest = unsigned;
  while (rest !== "") {
    const number = /^(?:\d+\.?\d*|\.\d+)/.exec(rest)?.[0];
    if (number === undefined) throw invalid();
    rest = rest.slice(number.length);
    const unit = /^[^\d.]+/.exec(rest)?.[0];
    if (unit === undefined) throw new Error(`time: missing unit in duration ${quoted}`);
    rest = rest.slice(unit.length);
    const scale = UNIT_MS.get(unit);
    if (scale === undefined) {
      throw new Error(`time: unknown unit ${JSON.stringify(unit)} in duration ${quoted}`);
    }
    total += Number(number) * scale;
  }
  if (total > DURATION_MS_MAX) throw invalid();
  return text.startsWith("-") ? -total : total;
}

/** Writes milliseconds as Go would, without the parts that are nothing: `1h30m`, `7m30s`, `100ms`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  if (Math.abs(ms) < 1_000) return `${ms}ms`;
  const sign = ms < 0 ? "-" : "";
  const seconds = Math.abs(ms) / 1_000;
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 3_600), "h"],
    [Math.floor((seconds % 3_600) / 60), "m"],
    [Number((seconds % 60).toFixed(3)), "s"],
  ];
  return (
    sign +
    parts
      .filter(([count]) => count > 0)
      .map(([count, unit]) => `${count}${unit}`)
      .join("")
  );
}
