/**
 * Asks for URLs again and again from the network it was started in, and writes each answer as a line of JSON. It runs
 * in a pod's network namespace, which has no way out of the suite's network. `PROBE` says what it does.
 */
import { Agent, request } from "node:http";

import type { Answer, ProbePlan } from "./probe.ts";

const { urls, everyMs, keepAlive } = JSON.parse(process.env["PROBE"] ?? "{}") as ProbePlan;
const agent = new Agent({ keepAlive });

for (const url of urls) {
  setInterval(ask, everyMs, url);
  ask(url);
}

function ask(url: string): void {
  const started = performance.now();
  const tell = (status: number, body: string): void => {
    const ms = performance.now() - started;
    const answer: Answer = { url, at: Date.now(), ms, status, body };
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  };
  const asked = request(url, { agent, signal: AbortSignal.timeout(2_000) }, (response) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => chunks.push(chunk));
    response.on("error", (error) => tell(0, error.message));
    response.on("end", () => tell(response.statusCode ?? 0, Buffer.concat(chunks).toString()));
  });
  asked.on("error", (error) => tell(0, error.message)).end();
}
