/**
 * What runs in a pod's network namespace: each line on its input is a URL that it gets on a new connection; the answer is
 * one JSON line. It ends with its input, and the namespace with it.
 */
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { createInterface } from "node:readline";

const PATIENCE_MS = 1_500;
/** A new interface loses its first packets, and TCP would send them again after a second. */
const CONNECT_MS = 20;

async function connect({ hostname, port }: URL): Promise<net.Socket> {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    const socket = net.connect({ host: hostname, port: Number(port) });
    try {
      await once(socket, "connect", { signal: AbortSignal.timeout(CONNECT_MS) });
      return socket;
    } catch (error) {
      socket.destroy();
      const isRefused = (error as NodeJS.ErrnoException).code === "ECONNREFUSED";
      if (isRefused || performance.now() > until) throw error;
    }
  }
}

async function get(url: string): Promise<{ readonly status: number; readonly body: string }> {
  const socket = await connect(new URL(url));
  return new Promise((resolve, reject) => {
    http
      .get(url, { createConnection: () => socket, timeout: PATIENCE_MS }, (response) => {
        let body = "";
        response.on("data", (chunk) => (body += String(chunk)));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      })
      .on("timeout", () => socket.destroy(new Error("no answer in time")))
      .on("error", reject);
  });
}

process.stdout.write("ready\n");
for await (const url of createInterface({ input: process.stdin })) {
  const started = performance.now();
  const reply = await get(url).catch((error: Error) => ({ status: 0, body: error.message }));
  process.stdout.write(`${JSON.stringify({ ...reply, ms: performance.now() - started })}\n`);
}
