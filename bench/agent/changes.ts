import { type Contender, sideBySide } from "../rounds.ts";
import { type Row, rowOf } from "../row.ts";
import { slice, type Slice } from "./compare.ts";
import { TARGETS } from "./targets.ts";
import { atFixedRate } from "./throughput.ts";
import type { Plan, World } from "./world.ts";

const PER_SECOND = 1_000;

/** Latency while the feed brings 1 000 changes a second, compared with a quiet feed. */
export async function changes(world: World, plan: Plan): Promise<readonly Row[]> {
  const { agent, client, feed, requests } = world;
  const shape = atFixedRate(plan);
  const load = (): Promise<Slice> =>
    slice(client, { process: agent, requests: requests.v1 }, shape);
  const contenders: readonly Contender<Slice>[] = [
    { name: "quiet", measure: load },
    {
      name: "changes",
      measure: async () => {
        const changing = feed.change((shape.requests / shape.perSecond) * PER_SECOND, PER_SECOND);
        const measured = await load();
        await changing;
        return measured;
      },
    },
  ];
  await sideBySide(contenders, 1);
  const measured = await sideBySide(contenders, plan.rounds);
  const p99 = (name: string): readonly number[] =>
    (measured.get(name) ?? []).map(({ p99Us }) => p99Us);
  const samples = { values: p99("changes"), floors: p99("quiet") };
  return [rowOf("changes.p99", "µs", samples, TARGETS["changes.p99"])];
}
