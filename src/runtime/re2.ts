/** Matches the empty text, which no path is. */
const NOTHING = "^$";

/**
 * Compiles an RE2 expression of a setting. Its engine is a third of what an agent would load, so it is
 * loaded only where something is to be matched: by default nothing is.
 *
 * @throws {Error} what is wrong with the expression, in the words of Go's regexp.
 */
export async function compileSetting(expression: string): Promise<(text: string) => boolean> {
  if (expression === NOTHING) return (text) => text === "";
  const { compileRe2 } = await import("./re2-engine.ts");
  return compileRe2(expression);
}
