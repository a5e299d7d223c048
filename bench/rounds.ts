/** Something that is measured in turn with others. */
export interface Contender<T> {
  readonly name: string;
  measure(): Promise<T>;
}

/**
 * Measures all contenders `rounds` times, side by side: each round goes through all of them, each time
 * beginning with another, so that what disturbs the machine meanwhile disturbs them alike.
 *
 * @returns for each contender's name what its rounds measured, in order.
 */
export async function sideBySide<T>(
  contenders: readonly Contender<T>[],
  rounds: number,
): Promise<ReadonlyMap<string, readonly T[]>> {
  const measured = new Map<string, T[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    const first = round % contenders.length;
    for (const contender of [...contenders.slice(first), ...contenders.slice(0, first)]) {
      measured.get(contender.name)?.push(await contender.measure());
    }
  }
  return measured;
}
