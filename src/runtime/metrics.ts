import { MetricFamily } from "./metric-family.ts";
import { METRICS, type MetricDeclaration, type MetricName } from "./metric-table.ts";

type NameOf<Type extends MetricDeclaration["type"]> = {
  [Name in MetricName]: (typeof METRICS)[Name]["type"] extends Type ? Name : never;
}[MetricName];

type LabelName<Name extends MetricName> = (typeof METRICS)[Name]["labels"][number];

/** A value for every label of the metric; `{}` where it has none. */
export type LabelsOf<Name extends MetricName> = [LabelName<Name>] extends [never]
  ? Readonly<Record<string, never>>
  : Readonly<Record<LabelName<Name>, string>>;

/** The metrics of a process. A wrong name or label does not compile. */
export interface Metrics {
  /** Counts events, one when `count` is absent. */
  add<Name extends NameOf<"counter">>(name: Name, labels: LabelsOf<Name>, count?: number): void;
  set<Name extends NameOf<"gauge">>(name: Name, labels: LabelsOf<Name>, value: number): void;
  /** Records one measurement, in the metric's unit. */
  observe<Name extends NameOf<"histogram">>(
    name: Name,
    labels: LabelsOf<Name>,
    value: number,
  ): void;
  /** Calls `update` before each scrape, for what is cheaper read than followed. */
  beforeScrape(update: () => void): void;
  /** The text of a scrape and its content type. */
  expose(): { readonly text: string; readonly contentType: string };
}

/** The text format that every version of Prometheus reads. */
const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** A registry of its own with every metric of the table; those without labels are there at 0. */
export function createMetrics(): Metrics {
  const families = new Map<string, MetricFamily>();
  for (const [name, declared] of Object.entries(METRICS)) {
    families.set(name, new MetricFamily(name, declared));
  }
  const family = (name: MetricName): MetricFamily => families.get(name) as MetricFamily;
  const updates: (() => void)[] = [];

  return {
    add: (name, labels, count = 1) => void (family(name).at(labels).value += count),
    set: (name, labels, value) => void (family(name).at(labels).value = value),
    observe: (name, labels, value) => family(name).observe(labels, value),
    beforeScrape: (update) => void updates.push(update),
    expose() {
      for (const update of updates) update();
      const texts = Array.from(families.values(), (each) => each.expose());
      return { text: texts.join(""), contentType: CONTENT_TYPE };
    },
  };
}
