/**
 * A program that asks at each of the URLs that it is given, again and again, as a pod would: on new
 * connections, and with `--keep` on one that it keeps for as long as it lives. Says `URL outcome`, a line
 * a question; the outcome is the answer's text or the error's code.
 */
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const PAUSE_MS = 80;
const PATIENCE_MS = 400;
const keep = process.argv.includes("--keep");
const agent = new http.Agent({ keepAlive: keep });

function ask(url: string): Promise<string> {
  return new Promise((resolve) => {
    http
      .get(`${url}/ping`, { agent, timeout: PATIENCE_MS }, (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text: string) => (body += text));
        response.on("end", () => resolve(body)).on("error", () => resolve("cut"));
      })
      .on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
      .on("timeout", function timedOut(this: http.ClientRequest) {
        this.destroy(new Error("silence"));
      });
  });
}

await Promise.all(
  process.argv
    .slice(2)
    .filter((url) => url.startsWith("http:"))
    .map(async (url) => {
      for (;;) {
        process.stdout.write(`${url} ${await ask(url)}\n`);
        await sleep(PAUSE_MS);
      }
    }),
);
