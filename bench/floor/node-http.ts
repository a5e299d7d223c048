/**
 * What Node can do at most with `node:http`: looks the client's address up in a map, and answers with the
 * bytes that it finds there.
 *
 *   node-http ANSWER_FILE FIRST_SOURCE SOURCES
 *
 * Says the port that it was given, and runs until it is killed.
 */
import { readFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";

/** What `node:http` adds by itself, when it is let. */
const OF_THE_CONNECTION = new Set(["connection", "keep-alive", "date"]);

const [file = "", firstSource = "", sources = "1"] = process.argv.slice(2);
const text = readFileSync(file, "latin1");
const headEnd = text.indexOf("\r\n\r\n");
const [, ...lines] = text.slice(0, headEnd).split("\r\n");
const fields = lines.map((line) => /^(?<name>[^:]+): *(?<value>.*)$/.exec(line)?.slice(1) ?? []);
const headers = Object.fromEntries(
  fields.filter(([name = ""]) => !OF_THE_CONNECTION.has(name.toLowerCase())),
) as Record<string, string>;
const isDated = fields.some(([name]) => name?.toLowerCase() === "date");

const [a = "", b = "", c = "", last = "0"] = firstSource.split(".");
const answers = new Map<string, Buffer>();
for (let source = 0; source < Number(sources); source += 1) {
  const body = Buffer.from(text.slice(headEnd + 4), "latin1");
  const address = [a, b, c, Number(last) + source].join(".");
  answers.set(address, body).set(`::ffff:${address}`, body);
}

const server = http.createServer((request, response) => {
  const body = answers.get(request.socket.remoteAddress ?? "");
  response.sendDate = isDated;
  response.writeHead(body === undefined ? 404 : 200, headers);
  response.end(body);
});
server.keepAliveTimeout = 75_000;
// As the agent listens: on IPv6, where clients over IPv4 have addresses of a form of their own.
server.listen(0, () => {
  process.stdout.write(`port ${(server.address() as AddressInfo).port}\n`);
});
