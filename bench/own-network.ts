import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";

const MARK = "ROLECALL_BENCH_NETWORK";

/** Whether this process is in a network namespace that `runInOwnNetwork` made. */
export function isInOwnNetwork(): boolean {
  return process.env[MARK] === "own";
}

/**
 * Runs a program of this folder in a network namespace of its own, without a route to anywhere: pods can
 * have addresses and interfaces there, and interception its rules, and all of it ends with the program.
 *
 * @returns its exit code; 1 after a signal, or when no such namespace can be made.
 */
export async function runInOwnNetwork(program: string, argv: readonly string[]): Promise<number> {
  const flags = process.getuid?.() === 0 ? ["--net"] : ["--map-root-user", "--net"];
  const child = spawn("unshare", [...flags, process.execPath, program, ...argv], {
    stdio: "inherit",
    env: { ...process.env, [MARK]: "own" },
  });
  const stop = (): void => void child.kill("SIGTERM");
  process.on("SIGTERM", stop).on("SIGINT", stop);
  const [code] = (await once(child, "exit")) as [number | null];
  process.off("SIGTERM", stop).off("SIGINT", stop);
  return code ?? 1;
}

/** A pod's address and the node's interface that leads to it. */
export interface PodLink {
  readonly address: string;
  readonly interface: string;
}

/**
 * Gives each pod what a routed network gives it, as far as the node can see it: an interface of its own
 * with a route. Traffic from the addresses stays on loopback, which all of the range belongs to.
 */
export async function linkPods(range: string, links: readonly PodLink[]): Promise<void> {
  const commands = [
    "link set lo up",
    // A rule of any kind keeps the kernel from looking up local and other routes as one: what is local
    // comes first then, however exact the others are.
    "rule add priority 30000 lookup main",
    `addr add ${range} dev lo`,
    ...links.flatMap(({ address, interface: name }) => [
      `link add ${name} type veth peer name ${name}p`,
      `link set ${name} up`,
      `link set ${name}p up`,
      `route add ${address}/32 dev ${name}`,
    ]),
  ];
  const running = promisify(execFile)("ip", ["-batch", "-"]);
  running.child.stdin?.end(commands.map((command) => `${command}\n`).join(""));
  await running;
}
