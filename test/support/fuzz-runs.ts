/**
 * How many cases a fuzz test runs: a few thousand each time, or as many as `ROLECALL_FUZZ_RUNS` says
 * for its long form. What failed is repeated with the seed and path that fast-check prints.
 */
export function fuzzRuns(usual: number): number {
  const asked = Number(process.env["ROLECALL_FUZZ_RUNS"] ?? usual);
  if (!Number.isSafeInteger(asked) || asked < 1) {
    throw new Error("ROLECALL_FUZZ_RUNS is not a number of cases");
  }
  return asked;
}
