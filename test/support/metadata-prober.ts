/**
 * A program that asks at each of the URLs that it is given, again and again, as a pod would: on new
 * connections, and with `--keep` on one that it keeps for as long as it lives. Says `URL outcome`, a line
 * a question; the outcome is the answer's text or the error's code. `udp:` asks with a datagram.
 */
import { createSocket } from "node:dgram";
import http from "node:http";
import { isIPv6 } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const PAUSE_MS = 150;
const keep = process.argv.includes("--keep");
/** On a kept connection silence is told from a machine that is busy. */
const PATIENCE_MS = keep ? 5_000 : 400;
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

function askByDatagram({ hostname, port }: URL): Promise<string> {
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
  const outcome = new Promise<string>((resolve) => {
    socket.on("message", (text) => resolve(String(text)));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.connect(Number(port), host, () => socket.send("ping"));
    setTimeout(resolve, PATIENCE_MS, "silence");
  });
  return outcome.finally(() => socket.close());
}

await Promise.all(
  process.argv
    .slice(2)
    .filter((argument) => URL.canParse(argument))
    .map(async (url) => {
      const asks = url.startsWith("udp:") ? () => askByDatagram(new URL(url)) : () => ask(url);
      for (;;) {
        process.stdout.write(`${url} ${await asks()}\n`);
        await sleep(PAUSE_MS);
      }
    }),
);
