import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Row, rowOf } from "../row.ts";
import type { Started } from "./start-in-namespace.ts";
import { TARGETS } from "./targets.ts";
import type { Plan, World } from "./world.ts";

const PROGRAM = join(import.meta.dirname, "start-in-namespace.ts");
const WITHIN_MS = 300_000;
/** A network without a route, in which its rules are no one else's. */
const ALONE = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"];

/**
 * From the start of the process until it is ready, with the rules in place and the feed at hand; the
 * floor is a bare responder until its first answer. Where no network namespace can be made, the agent
 * does not intercept, and the row's name says so.
 */
export async function start(world: World, { rounds }: Plan): Promise<readonly Row[]> {
  const mayIntercept = await promisify(execFile)("unshare", ["-n", "iptables", "-t", "nat", "-S"])
    .then(() => true)
    .catch(() => false);
  const command = [
    ...(mayIntercept ? ALONE : []),
    process.execPath,
    PROGRAM,
    world.agentOptions.product.folder,
    String(rounds),
    mayIntercept ? "intercept" : "bare",
  ];
  const [program = "", ...parameters] = command;
  const { stdout } = await promisify(execFile)(program, parameters, { timeout: WITHIN_MS });
  const { agentMs, floorMs } = JSON.parse(stdout) as Started;
  const name = mayIntercept ? "start.ready" : "start.ready-without-rules";
  return [rowOf(name, "ms", { values: agentMs, floors: floorMs }, TARGETS[name])];
}
