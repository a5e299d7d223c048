/** `npm run test:cluster`: builds what the suite needs, once, then runs it on a machine of its own. */
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";

import { makeCgroups, removeCgroups } from "./cgroups.ts";
import { prepareImages } from "./images.ts";
import { leftBehind } from "./left-behind.ts";
import { NODES } from "./network.ts";
import { ENVIRONMENT, run } from "./process.ts";
import { SCENARIOS } from "./scenarios.ts";
import { SECLUDED } from "./seclusion.ts";
import { prepareTools } from "./tools.ts";
import type { Prepared } from "./world.ts";

const ROOT = join(import.meta.dirname, "../..");
/** How long the suite itself may run. */
const SUITE_MS = 25 * 60_000;
const LONG_SUITE_MS = 90 * 60_000;

if (process.getuid?.() !== 0 || process.platform !== "linux") {
  console.error(
    "Cannot run the cluster suite: it needs root on Linux, for namespaces and containers",
  );
  process.exit(1);
}

const { only, long } = parseArgs({
  options: {
    /** Names of scenarios, with commas between them: only these run. */
    only: { type: "string", default: Object.keys(SCENARIOS).join() },
    /** Outages take ten minutes instead of one. */
    long: { type: "boolean", default: false },
  },
}).values;
const scenarios = only.split(",");
const unknown = scenarios.filter((name) => !(name in SCENARIOS));
if (unknown.length > 0) {
  console.error(
    `Cannot run ${unknown.join(", ")}: the scenarios are ${Object.keys(SCENARIOS).join(", ")}`,
  );
  process.exit(1);
}

const stopping = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.once(name, () => stopping.abort(new Error(`received ${name}`)));
}
process.exitCode = await main(stopping.signal);

async function main(signal: AbortSignal): Promise<number> {
  const tools = await prepareTools(signal);
  const images = await prepareImages(signal);
  console.log((await run("npm", ["run", "-s", "image"], { cwd: ROOT, signal })).trim());

  const folder = await mkdtemp(join(tmpdir(), "rolecall-cluster-"));
  const cgroup = basename(folder);
  const prepared: Prepared = {
    tools,
    images: [...images, join(ROOT, "dist/image.tar")],
    folder,
    cgroup,
    scenarios,
    long,
  };
  await writeFile(join(folder, "prepared.json"), JSON.stringify(prepared));
  await makeCgroups(
    cgroup,
    NODES.map(({ name }) => name),
  );
  const code = await runSecluded(folder, signal);
  await removeCgroups(cgroup);
  const left = await leftBehind(cgroup);
  console.log(
    `left behind: ${left.join("; ") || "no process, network, rule, mount or control group"}`,
  );
  if (code === 0) await rm(folder, { recursive: true, force: true });
  else console.error(`The logs of the run that failed are in ${join(folder, "logs")}`);
  return left.length > 0 ? 1 : code;
}

/** Runs the scenarios; when this returns, no process, mount or network of theirs is left. */
async function runSecluded(folder: string, signal: AbortSignal): Promise<number> {
  const [command, ...flags] = SECLUDED;
  const suite = join(import.meta.dirname, "suite.test.ts");
  const child = spawn(
    command,
    // What a scenario that failed left open must not keep the run from ending.
    [
      ...flags,
      process.execPath,
      "--test",
      "--test-force-exit",
      `--test-timeout=${long ? LONG_SUITE_MS : SUITE_MS}`,
      suite,
    ],
    {
      env: { ...ENVIRONMENT, ROLECALL_PREPARED: join(folder, "prepared.json") },
      stdio: "inherit",
      signal,
      killSignal: "SIGKILL",
    },
  );
  const { promise, resolve } = Promise.withResolvers<number>();
  child.once("exit", (code) => resolve(code ?? 1)).once("error", () => resolve(1));
  return promise;
}
