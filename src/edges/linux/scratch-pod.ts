import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { isIPv6 } from "node:net";
import type { Readable, Writable } from "node:stream";
import type { Random } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import { type Execute, TOOL_ENVIRONMENT } from "./execute.ts";
import { ruleProgram } from "./rule-program.ts";
import { parseInterfaces } from "./rule-target.ts";

export interface ScratchPodOptions {
  /** What is asked for, `ADDRESS/PATH` each; port 80. */
  readonly wanted: readonly string[];
  /** Where pods' traffic comes from, as the rules say it; every interface when absent. */
  readonly hostInterface: string | undefined;
  readonly random: Random;
  readonly exec?: Execute | undefined;
}

/** The program that becomes the pod: `images/interception-probe.c`. */
const PROBE = "interception-probe";
const CLEAN_WITHIN_MS = 2_000;
/** Fixed, so that neither side has to ask for the other's, and udev gives it no other. */
const MAC = { node: "02:00:00:00:00:01", pod: "02:00:00:00:00:02" } as const;
const NAME_MAX = 15;
const FAMILIES = ["-4", "-6"] as const;
/**
 * Whatever comes in from the pod is the node's own or nothing. The first rule is for nodes on which
 * that of the kernel for what is local comes later than these, as Cilium has it.
 */
const KEPT_IN = ["pref 9 iif NAME lookup local", "pref 10 iif NAME prohibit"] as const;
/** As `ip rule list` tells of one whose interface is gone. */
const LEFT = /^(?<pref>9|10):\s+from all iif (?<name>\S*rlc[0-9a-f]{4}) \[detached\]/;

/**
 * Asks as a pod would, from a network namespace with a link to the node's. Nothing of it has a way
 * farther than to the node. Namespace and link belong to a process and go with it, however it or the agent
 * ends; the rules that keep the pod in go by the next call at the latest.
 *
 * Its addresses are from the ranges for documentation (RFC 5737, RFC 3849), which nobody routes. Private ranges
 * may be a cluster's, and so may 100.64.0.0/10 and 198.18.0.0/15, which AWS recommends for pods.
 *
 * @returns by what was wanted: the answer's status line, or why there was none.
 * @throws {AppError} `invalid_settings` when there can be no such pod here, and why.
 */
export async function askAsPod(
  options: ScratchPodOptions,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const { wanted, random } = options;
  const name = nameFor(options.hostInterface, random);
  const targets = [...new Set(wanted.map((one) => one.split("/", 1)[0] ?? ""))];
  const addresses = [`198.51.100.${1 + Math.floor(random() * 254)}`];
  if (targets.some(isIPv6)) addresses.push(`2001:db8::${hex(random)}`);
  const families = FAMILIES.slice(0, addresses.length);
  const run = ruleProgram("ip", options.exec);
  const batch = async (lines: readonly string[], ...flags: readonly string[]): Promise<void> => {
    const done = await run([...flags, "-batch", "-"], signal, `${lines.join("\n")}\n`);
    if (done.status !== 0) throw impossible(done.stderr);
  };

  await removeLeftovers(options, signal);
  await using probe = await startProbe(wanted, signal);
  await using made = new AsyncDisposableStack();
  made.defer(() => remove(name, options));
  await batch([
    `link add name ${name} address ${MAC.node} type veth peer name eth0 address ${MAC.pod} netns ${probe.pid}`,
  ]);
  for (const family of families) {
    await batch(
      KEPT_IN.map((rule) => `rule add ${rule.replace("NAME", name)}`),
      family,
    );
  }
  await batch([
    ...(families.includes("-6") ? [`link set dev ${name} addrgenmode none`] : []),
    `link set dev ${name} up`,
    // What is redirected to the interface's own address needs one, without waiting for others that have it.
    ...(families.includes("-6") ? [`address add fe80::1/64 dev ${name} nodad`] : []),
    ...addresses.flatMap((address) => [
      `route add ${address} dev ${name}`,
      `neigh add ${address} lladdr ${MAC.pod} dev ${name} nud permanent`,
    ]),
  ]);
  const said = await probe.ask([
    "link set dev eth0 up",
    ...addresses.map(
      (address) => `address add ${address} dev eth0 ${isIPv6(address) ? "nodad" : ""}`,
    ),
    ...targets.flatMap((target) => [
      `route add ${target} dev eth0`,
      `neigh add ${target} lladdr ${MAC.node} dev eth0 nud permanent`,
    ]),
  ]);
  return new Map(
    said.map((line) => [line.split(" ", 1)[0] ?? "", line.slice(line.indexOf(" ") + 1)]),
  );
}

/** Whether interfaces of this node get addresses of IPv6. */
export async function hasIPv6(): Promise<boolean> {
  const disabled = await readFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", "utf8").catch(
    () => "1",
  );
  return disabled.trim() === "0";
}

/** The process that has the namespace, from when it is in it. Disposing ends both. */
interface Probe extends AsyncDisposable {
  readonly pid: number;
  /** Has `ip` configure the namespace, and then asks. @returns what it says, a line each. */
  ask(configuration: readonly string[]): Promise<readonly string[]>;
}

async function startProbe(wanted: readonly string[], signal: AbortSignal): Promise<Probe> {
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(PROBE, wanted, {
    env: TOOL_ENVIRONMENT,
    stdio: ["pipe", "pipe", "pipe"],
    signal,
    killSignal: "SIGKILL",
  });
  const said = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said.out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said.err += text));
  // One that ended without having read it says why by its status.
  child.stdin.on("error", () => {});
  const ended = once(child, "close").catch((error: unknown) => {
    signal.throwIfAborted();
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw impossible(isMissing ? `the program ${PROBE} is not in the image` : String(error));
  });
  await Promise.race([once(child.stdout, "data"), ended]);
  if (child.pid === undefined || child.exitCode !== null) throw impossible(said.err);
  return {
    pid: child.pid,
    async ask(configuration) {
      child.stdin.end(`${configuration.join("\n")}\n`);
      await ended;
      // One that took too long was killed: what it has not said by then has no answer.
      if (child.exitCode !== 0 && child.signalCode === null) throw impossible(said.err);
      return said.out.trim().split("\n").slice(1);
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended.catch(() => undefined);
    },
  };
}

/** Whatever there is of a pod; to be done even when everything has been told to stop. */
async function remove(name: string, { exec }: ScratchPodOptions): Promise<void> {
  const signal = AbortSignal.timeout(CLEAN_WITHIN_MS);
  const run = ruleProgram("ip", exec);
  // Each may fail: the link goes with its namespace, and some were never made.
  await run(["link", "del", "dev", name], signal);
  for (const family of FAMILIES) {
    for (const rule of KEPT_IN) {
      await run([family, "rule", "del", ...rule.replace("NAME", name).split(" ")], signal);
    }
  }
}

/** Rules of a pod whose agent was killed. Those of one that is at work have their interface. */
async function removeLeftovers(options: ScratchPodOptions, signal: AbortSignal): Promise<void> {
  const run = ruleProgram("ip", options.exec);
  const left = new Set<string>();
  for (const family of FAMILIES) {
    const { stdout } = await run([family, "rule", "list"], signal);
    for (const line of stdout.split("\n")) {
      const name = LEFT.exec(line)?.groups?.["name"];
      if (name !== undefined) left.add(name);
    }
  }
  for (const name of left) await remove(name, options);
}

/** A name that the rules take for a pod's interface. */
function nameFor(hostInterface: string | undefined, random: Random): string {
  const mark = `rlc${hex(random)}`;
  const interfaces = hostInterface === undefined ? undefined : parseInterfaces(hostInterface);
  const prefix = interfaces === undefined || interfaces.inverted ? "" : interfaces.name;
  if (interfaces !== undefined && !interfaces.inverted && !interfaces.isPrefix) {
    throw impossible(
      `--host-interface=${hostInterface} is one interface, which no other can pass for`,
    );
  }
  if (prefix.length + mark.length > NAME_MAX) {
    throw impossible(`--host-interface=${hostInterface} leaves no room for a name of its own`);
  }
  return prefix + mark;
}

function impossible(why: string): AppError {
  const [line = ""] = why.trim().split("\n", 1);
  const denied = /not permitted|permission denied/i.test(line);
  return new AppError(
    "invalid_settings",
    `--interception-self-test: ${line}${denied ? "; the container needs the capabilities SYS_ADMIN and NET_ADMIN" : ""}`,
  );
}

/** Four hexadecimal digits. */
function hex(random: Random): string {
  return Math.floor(random() * 0x1_0000)
    .toString(16)
    .padStart(4, "0");
}
