import { type Contender, sideBySide } from "../rounds.ts";
import { type Row, rowOf } from "../row.ts";
import { slice, type Slice, type Subject } from "./compare.ts";
import { TARGETS } from "./targets.ts";
import { atFixedRate } from "./throughput.ts";
import type { Plan, World } from "./world.ts";

const PER_SECOND = 1_000;

/**
 * Latency while the feed brings 1 000 changes a second, compared with a quiet feed. Whoever makes the changes runs
 * beside the client, so the bare responder, which hears nothing of them, is measured meanwhile too.
 */
export async function changes(world: World, plan: Plan): Promise<readonly Row[]> {
  const { agent, nodeFloor, client, feed, requests } = world;
  const shape = atFixedRate(plan);
  const quiet = (process: Subject["process"]) => (): Promise<Slice> =>
    slice(client, { process, requests: requests.v1 }, shape);
  const changing = (process: Subject["process"]) => async (): Promise<Slice> => {
    const made = feed.change((shape.requests / shape.perSecond) * PER_SECOND, PER_SECOND);
    const measured = await quiet(process)();
    await made;
    return measured;
  };
  const contenders: readonly Contender<Slice>[] = [
    { name: "quiet", measure: quiet(agent) },
    { name: "changes", measure: changing(agent) },
    { name: "bystander-quiet", measure: quiet(nodeFloor) },
    { name: "bystander", measure: changing(nodeFloor) },
  ];
  await sideBySide(contenders, 1);
  const measured = await sideBySide(contenders, plan.rounds);
  const p99 = (name: string): readonly number[] =>
    (measured.get(name) ?? []).map(({ p99Us }) => p99Us);
  const row = (name: string, values: string, floors: string): Row =>
    rowOf(name, "µs", { values: p99(values), floors: p99(floors) }, TARGETS[name]);
  return [
    row("changes.p99", "changes", "quiet"),
    row("changes.bystander.p99", "bystander", "bystander-quiet"),
  ];
}
