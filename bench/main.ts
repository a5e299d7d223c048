/** `npm run bench -- agent`: what the agent costs, next to what is possible on the same machine. */
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { benchAgent, GROUP_NAMES } from "./agent/bench.ts";
import type { Plan } from "./agent/world.ts";
import { describeMachine } from "./machine.ts";
import { resultsOf, tableOf, verdictOf } from "./report.ts";
import { isInOwnNetwork, runInOwnNetwork } from "./own-network.ts";
import type { Row } from "./row.ts";

const PROGRAM = fileURLToPath(import.meta.url);
const RESULTS = new URL("results/agent.json", import.meta.url);
const ROUNDS = 7;
/** Enough to see that everything can be measured; the figures mean nothing. */
const QUICK: Plan = {
  rounds: 1,
  slice: { requests: 200 },
  loadRequests: 100,
  longRequests: 100,
  longChanges: 10,
  settleMs: 0,
};

const HELP = `npm run bench -- agent [options]
  --json             one line of JSON for each row instead of a table
  --long             memory after 10 million requests instead of half a million
  --quick            only to see that everything can be measured
  --rounds=N         rounds of each measurement, ${ROUNDS} when it is absent
  --only=NAME,…      only these of ${GROUP_NAMES.join(", ")}
  --profile=FOLDER   CPU profiles of the agent under load, taken at the end
Without --only, --quick and --rounds, bench/results/agent.json is written.
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "boolean", default: false },
    long: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    only: { type: "string" },
    profile: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

const rounds = Number(values.rounds ?? ROUNDS);
const groups = values.only?.split(",") ?? GROUP_NAMES;
const isUnderstood =
  positionals.length === 1 &&
  positionals[0] === "agent" &&
  Number.isInteger(rounds) &&
  rounds > 0 &&
  groups.every((group) => GROUP_NAMES.includes(group));

if (values.help || !isUnderstood) {
  process.stdout.write(HELP);
  process.exitCode = values.help ? 0 : 2;
} else if (isInOwnNetwork()) {
  // What was started goes with this process.
  process.on("SIGTERM", () => process.exit(1)).on("SIGINT", () => process.exit(1));
  process.exitCode = await bench();
} else {
  process.exitCode = await runInOwnNetwork(PROGRAM, process.argv.slice(2));
}

/** 0 whether or not the targets are met; 1 when something could not be measured. */
async function bench(): Promise<number> {
  const plan: Plan = values.quick
    ? QUICK
    : {
        rounds,
        slice: { seconds: 2 },
        loadRequests: 100_000,
        longRequests: values.long ? 10_000_000 : 500_000,
        longChanges: values.long ? 100_000 : 5_000,
        settleMs: 1_000,
      };
  const rows: Row[] = [];
  let failures = 0;
  await benchAgent({
    plan,
    groups,
    ...(values.profile === undefined ? {} : { profileFolder: values.profile }),
    onRows: (group, measured) => {
      if (measured instanceof Error) {
        failures += 1;
        process.stderr.write(`${group} could not be measured: ${measured.message}\n`);
        return;
      }
      rows.push(...measured);
      const lines = measured.map((row) => JSON.stringify(row)).join("\n");
      process.stdout.write(`${values.json ? lines : tableOf(measured)}\n`);
    },
  });
  process.stderr.write(`${verdictOf(rows)}\n`);
  const isPart = values.quick || values.only !== undefined || values.rounds !== undefined;
  if (!isPart && failures === 0) {
    await mkdir(new URL(".", RESULTS), { recursive: true });
    await writeFile(RESULTS, resultsOf(await describeMachine(), rows));
  }
  return failures === 0 ? 0 : 1;
}
