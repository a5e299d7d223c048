import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const STOP_MS = 5_000;
const LINES_MAX = 500;

/** A process that the demo started, and what it has said so far. */
export interface Started extends AsyncDisposable {
  readonly lines: readonly string[];
  /** Its exit code, once it has ended; null after a signal. */
  readonly ended: Promise<number | null>;
  stop(): Promise<void>;
  /** Sends it a signal, as SIGSTOP and SIGCONT. */
  signal(name: NodeJS.Signals): void;
}

/** The program as an operator would call it, from the sources. */
export const ROLECALL: readonly [string, string] = [
  process.execPath,
  new URL("../../../src/apps/cli/main.ts", import.meta.url).pathname,
];

/** Starts the command `rolecall` from the sources, exactly as an operator would call it. */
export function startRolecall(
  argv: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Started {
  const [runtime, program] = ROLECALL;
  const child = spawn(runtime, [program, ...argv], {
    stdio: ["ignore", "pipe", "pipe"],
    env: quietEnvironment({
      // The server's own identity; the STS simulator knows this key and no other.
      AWS_ACCESS_KEY_ID: "AKIADEMOSERVER",
      AWS_SECRET_ACCESS_KEY: "demo-server-secret",
      ...environment,
    }),
  });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      if (lines.length > LINES_MAX) lines.shift();
    });
  }
  const ended = once(child, "close").then(([code]) => code as number | null);
  const stop = (): Promise<void> => stopChild(child);
  const signal = (name: NodeJS.Signals): void => void child.kill(name);
  return { lines, ended, stop, signal, [Symbol.asyncDispose]: stop };
}

/** The environment of every process here: nothing may look for a real metadata service. */
export function quietEnvironment(more: Record<string, string>): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env;
  return {
    PATH,
    HOME,
    AWS_REGION: "eu-west-1",
    AWS_EC2_METADATA_DISABLED: "true",
    ...more,
  };
}

/** Stops a child: asks first, then insists. */
export async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  // One that was stopped hears nothing else before it goes on.
  child.kill("SIGTERM");
  child.kill("SIGCONT");
  const insist = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await ended;
  clearTimeout(insist);
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Waits until a URL answers 200. */
export async function untilReady(url: string, withinMs = 15_000): Promise<void> {
  const until = performance.now() + withinMs;
  while ((await statusOf(url)) !== 200) {
    if (performance.now() > until) throw new Error(`${url} did not become ready in ${withinMs} ms`);
    await sleep(50);
  }
}

/** One plain GET; `localAddress` is the address that it comes from. */
export function get(url: string, localAddress?: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const options = localAddress === undefined ? {} : { localAddress };
    http
      .get(url, { agent: false, timeout: 3_000, ...options }, (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (text: string) => (body += text));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      })
      .on("error", reject)
      .on("timeout", function timedOut(this: http.ClientRequest) {
        this.destroy(new Error(`${url} did not answer`));
      });
  });
}

async function statusOf(url: string): Promise<number> {
  try {
    return (await get(url)).status;
  } catch {
    // Not listening yet is what is being waited for.
    return 0;
  }
}
