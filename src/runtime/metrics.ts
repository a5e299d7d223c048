import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";
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
  expose(): Promise<{ readonly text: string; readonly contentType: string }>;
}

/** A registry of its own with every metric of the table; those without labels are there at 0. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counters = new Map<string, Counter>();
  const gauges = new Map<string, Gauge>();
  const histograms = new Map<string, Histogram>();
  const updates: (() => void)[] = [];

  for (const [name, declared] of Object.entries<MetricDeclaration>(METRICS)) {
    const shared = {
      name,
      help: declared.help,
      labelNames: [...declared.labels],
      registers: [registry],
    };
    switch (declared.type) {
      case "counter":
        counters.set(name, new Counter(shared));
        break;
      case "gauge":
        gauges.set(name, new Gauge(shared));
        break;
      case "histogram":
        histograms.set(name, new Histogram({ ...shared, buckets: [...(declared.buckets ?? [])] }));
        break;
    }
  }

  return {
    add: (name, labels, count = 1) => counters.get(name)?.inc(labels, count),
    set: (name, labels, value) => gauges.get(name)?.set(labels, value),
    observe: (name, labels, value) => histograms.get(name)?.observe(labels, value),
    beforeScrape: (update) => void updates.push(update),
    expose: async () => {
      for (const update of updates) update();
      return { text: await registry.metrics(), contentType: registry.contentType };
    },
  };
}
