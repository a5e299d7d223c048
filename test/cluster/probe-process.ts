/**
 * Asks the metadata address again and again from the network it was started in, and writes each answer
 * as a line of JSON. It runs inside a pod's network namespace, which has no way out of the suite's network.
 */
import { Agent, request } from "node:http";

import type { Answer } from "./probe.ts";

const [path = "/", everyMs = "50"] = process.argv.slice(2);
const agent = new Agent({ keepAlive: false });

setInterval(ask, Number(everyMs));
ask();

function ask(): void {
  const started = performance.now();
  const tell = (status: number, body: string): void => {
    const answer: Answer = { at: Date.now(), ms: performance.now() - started, status, body };
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  };
  const asked = request(
    { host: "169.254.169.254", path, agent, signal: AbortSignal.timeout(2_000) },
    (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", (error) => tell(0, error.message));
      response.on("end", () => tell(response.statusCode ?? 0, Buffer.concat(chunks).toString()));
    },
  );
  asked.on("error", (error) => tell(0, error.message)).end();
}
