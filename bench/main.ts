/** `npm run bench -- agent`: what the agent costs, next to what is possible on the same machine. */
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { benchAgent, GROUP_NAMES } from "./agent/bench.ts";
import type { Plan } from "./agent/world.ts";
import { describeMachine } from "./machine.ts";
import { resultsOf, tableOf, verdictOf } from "./report.ts";
import type { Row } from "./row.ts";

const RESULTS = new URL("results/agent.json", import.meta.url);
const ROUNDS = 5;

const HELP = `npm run bench -- agent [options]
  --json             one line of JSON for each row instead of a table
  --long             memory after 10 million requests instead of half a million
  --rounds=N         rounds of each measurement, ${ROUNDS} when it is absent
  --only=NAME,…      only these of ${GROUP_NAMES.join(", ")}
  --profile=FOLDER   CPU profiles of the agent under load, taken at the end
Without --only and --rounds, bench/results/agent.json is written.
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "boolean", default: false },
    long: { type: "boolean", default: false },
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
} else {
  process.exitCode = await bench();
}

/** 0 whether or not the targets are met; 1 when something could not be measured. */
async function bench(): Promise<number> {
  const plan: Plan = {
    rounds,
    seconds: 1,
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
      if (values.json) for (const row of measured) process.stdout.write(`${JSON.stringify(row)}\n`);
      else process.stderr.write(`${group} is measured\n`);
    },
  });
  if (!values.json) process.stdout.write(`${tableOf(rows)}\n`);
  process.stderr.write(`${verdictOf(rows)}\n`);
  const isWhole = values.only === undefined && values.rounds === undefined && failures === 0;
  if (isWhole) await writeFile(RESULTS, resultsOf(await describeMachine(), rows));
  return failures === 0 ? 0 : 1;
}
