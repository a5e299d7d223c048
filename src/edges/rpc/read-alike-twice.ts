const READINGS_MAX = 6;

/**
 * Reads several things that only count together until they have been read alike twice in a row, since
 * somebody may replace them in between. Undefined when they change all the time.
 */
export async function readAlikeTwice<T>(
  read: () => Promise<T>,
  isSame: (one: T, other: T) => boolean,
): Promise<T | undefined> {
  let before = await read();
  for (let readings = 1; readings < READINGS_MAX; readings += 1) {
    const now = await read();
    if (isSame(before, now)) return now;
    before = now;
  }
  return undefined;
}
