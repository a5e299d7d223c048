/**
 * A program that asks `/ping` at a port of loopback 500 times a second, each time on a new connection, and
 * besides on connections that it keeps. Told to stop by SIGTERM, it waits for its answers and says what
 * they were: a line of JSON, `[milliseconds, outcome]` each.
 */
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const PER_SECOND = 500;
const TURN_MS = 10;
const KEPT = 20;
const [port] = process.argv.slice(2);
const outcomes: (readonly [number, string])[] = [];
const stop = new AbortController();
process.once("SIGTERM", () => stop.abort());

/** As many pods, so that none asks for more than its share. */
const ADDRESSES = 200;

function ask(agent: http.Agent | false, pod: number): Promise<void> {
  const localAddress = `127.0.1.${1 + (pod % ADDRESSES)}`;
  return new Promise((resolve) => {
    const said = (outcome: string): void => {
      outcomes.push([performance.now(), outcome]);
      resolve();
    };
    http
      .get(
        `http://127.0.0.1:${port}/ping`,
        { agent, localAddress, timeout: 20_000 },
        (response) => {
          let body = "";
          response.setEncoding("utf8").on("data", (text: string) => (body += text));
          response.on("end", () => said(body)).on("error", () => said("cut"));
        },
      )
      .on("error", (error: NodeJS.ErrnoException) => said(error.code ?? error.message))
      .on("timeout", function timedOut(this: http.ClientRequest) {
        this.destroy(new Error("silence"));
      });
  });
}

async function fresh(): Promise<void> {
  const answers: Promise<void>[] = [];
  for (const start = performance.now(); !stop.signal.aborted; await sleep(TURN_MS)) {
    const due = ((performance.now() - start) * PER_SECOND) / 1_000;
    while (answers.length < due) answers.push(ask(false, answers.length));
  }
  await Promise.all(answers);
}

/** One connection, in use all the time: one that was idle for long may be closed while it is used again. */
async function kept(pod: number): Promise<void> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  for (; !stop.signal.aborted; await sleep(50)) await ask(agent, pod);
  agent.destroy();
}

await Promise.all([fresh(), ...Array.from({ length: KEPT }, (_, pod) => kept(pod))]);
process.stdout.write(`${JSON.stringify(outcomes)}\n`);
