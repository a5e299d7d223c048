import type { Machine } from "./machine.ts";
import type { Row } from "./row.ts";

/** A table for people, with a last line that says whether everything was met. */
export function tableOf(rows: readonly Row[]): string {
  const head = ["", "value", "floor", "ratio", "target", ""];
  const cells = rows.map(({ name, value, unit, floor, ratio, target, met }) => [
    name,
    `${value} ${unit}`,
    floor === null ? "" : `${floor} ${unit}`,
    ratio === null ? "" : `${ratio.toFixed(2)}×`,
    target ?? "",
    met === null ? "" : met ? "met" : "NOT MET",
  ]);
  const lines = [head, ...cells];
  const widths = head.map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  );
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** How many targets were met, in a sentence. */
export function verdictOf(rows: readonly Row[]): string {
  const held = rows.filter(({ met }) => met !== null);
  const missed = held.filter(({ met }) => met === false).map(({ name }) => name);
  return missed.length === 0
    ? `all ${held.length} targets are met`
    : `${missed.length} of ${held.length} targets are NOT met: ${missed.join(", ")}`;
}

/** The committed results: the machine's shape, then a row a line. */
export function resultsOf(machine: Machine, rows: readonly Row[]): string {
  const lines = rows.map((row) => `    ${JSON.stringify(row)}`).join(",\n");
  return `{\n  "machine": ${JSON.stringify(machine)},\n  "rows": [\n${lines}\n  ]\n}\n`;
}
