import type { Loaded, LoadClient, Shape } from "../load/load.ts";
import type { MeasuredProcess } from "../measured-process.ts";
import { type Contender, sideBySide } from "../rounds.ts";
import { type Row, rowOf, type Unit } from "../row.ts";
import { TARGETS } from "./targets.ts";
import type { Plan, World } from "./world.ts";

/** What one slice of load showed. */
export interface Slice extends Loaded {
  /** Processor time of the process for each answer. */
  readonly cpuUs: number;
}

/** Something to send load to. */
export interface Subject {
  readonly name: string;
  readonly process: MeasuredProcess & { readonly port: number };
  readonly requests: string;
}

/** Sends load to one subject, and counts what its process spends meanwhile. */
export async function slice(
  client: LoadClient,
  { process, requests }: Pick<Subject, "process" | "requests">,
  shape: Shape,
): Promise<Slice> {
  const before = await process.cpuUs();
  const loaded = await client.send(process.port, requests, shape);
  return { ...loaded, cpuUs: ((await process.cpuUs()) - before) / loaded.answers };
}

/** Measures subjects side by side, after a round that warms them up and is forgotten. */
export async function compare(
  { client }: World,
  { rounds }: Plan,
  subjects: readonly Subject[],
  shape: Shape,
): Promise<ReadonlyMap<string, readonly Slice[]>> {
  const contenders: Contender<Slice>[] = subjects.map((subject) => ({
    name: subject.name,
    measure: () => slice(client, subject, shape),
  }));
  await sideBySide(contenders, 1);
  return sideBySide(contenders, rounds);
}

/** The rows of one figure: for each subject but the first, compared with the first. */
export function rowsOf(
  group: string,
  figure: { readonly name: string; readonly unit: Unit; readonly of: (slice: Slice) => number },
  measured: ReadonlyMap<string, readonly Slice[]>,
): readonly Row[] {
  const [floor, ...others] = [...measured];
  return others.map(([subject, slices]) => {
    const name = `${group}.${subject}.${figure.name}`;
    const samples = {
      values: slices.map(figure.of),
      floors: (floor?.[1] ?? []).map(figure.of),
    };
    return rowOf(name, figure.unit, samples, TARGETS[name]);
  });
}
