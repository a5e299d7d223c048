/**
 * A program that stands where a node's metadata service would: answers on the ports that it is given,
 * and says the address of whoever asked, a line a request.
 */
import http from "node:http";
import { normalizeAddress } from "#core/pod/address.ts";

for (const port of process.argv.slice(2)) {
  http
    .createServer((request, response) => {
      process.stdout.write(`${normalizeAddress(request.socket.remoteAddress ?? "")}\n`);
      response.end("node-role");
    })
    .listen(Number(port), "::", () => process.stdout.write("listening\n"));
}
