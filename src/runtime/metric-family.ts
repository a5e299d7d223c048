import type { MetricDeclaration } from "./metric-table.ts";

/** One line of a family, or a histogram's lines: what was counted under some values of its labels. */
export interface Series {
  /** As they are exposed, without braces: `handler="health",code="200"`. */
  readonly labels: string;
  /** A counter's or gauge's value; a histogram's sum. */
  value: number;
  /** How often each bucket of a histogram was the first that took a value; last, those that none took. */
  readonly hits: number[];
}

/** Labels take their values from closed sets; should one not, it can't fill the memory. */
const SERIES_MAX = 1_000;

/** One metric with all its series, in the text format of Prometheus. */
export class MetricFamily {
  readonly #name: string;
  readonly #declared: MetricDeclaration;
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, Series>();

  constructor(name: string, declared: MetricDeclaration) {
    this.#name = name;
    this.#declared = declared;
    this.#bounds = declared.buckets ?? [];
    // Without labels there is one series, and it is there from the beginning.
    if (declared.labels.length === 0) this.at({});
  }

  /** The series of these labels; one that is not exposed when there are too many. */
  at(labels: Readonly<Record<string, string>>): Series {
    let key = "";
    for (const name of this.#declared.labels) key += `${labels[name] ?? ""}\0`;
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    const pairs = this.#declared.labels.map((name) => `${name}="${escaped(labels[name] ?? "")}"`);
    const hits =
      this.#declared.type === "histogram" ? [...this.#bounds, Infinity].map(() => 0) : [];
    const series = { labels: pairs.join(","), value: 0, hits };
    if (this.#series.size < SERIES_MAX) this.#series.set(key, series);
    return series;
  }

  /** Puts a value into its bucket. */
  observe(labels: Readonly<Record<string, string>>, value: number): void {
    const series = this.at(labels);
    const bucket = this.#bounds.findIndex((bound) => value <= bound);
    const index = bucket === -1 ? this.#bounds.length : bucket;
    series.hits[index] = (series.hits[index] ?? 0) + 1;
    series.value += value;
  }

  /** The family's lines, each with its newline. */
  expose(): string {
    const { type, help } = this.#declared;
    let text = `# HELP ${this.#name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}\n`;
    text += `# TYPE ${this.#name} ${type}\n`;
    for (const series of this.#series.values()) {
      text +=
        type === "histogram"
          ? this.#buckets(series)
          : line(this.#name, series.labels, series.value);
    }
    return text;
  }

  #buckets({ labels, value, hits }: Series): string {
    let count = 0;
    let text = "";
    for (const [index, bound] of [...this.#bounds, Infinity].entries()) {
      count += hits[index] ?? 0;
      const le = `le="${number(bound)}"`;
      text += line(`${this.#name}_bucket`, labels === "" ? le : `${labels},${le}`, count);
    }
    return (
      text + line(`${this.#name}_sum`, labels, value) + line(`${this.#name}_count`, labels, count)
    );
  }
}

function line(name: string, labels: string, value: number): string {
  return `${name}${labels === "" ? "" : `{${labels}}`} ${number(value)}\n`;
}

function number(value: number): string {
  return Number.isFinite(value)
    ? String(value)
    : String(value).replace("Infinity", "Inf").replace(/^I/, "+I");
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
