/**
 * A program that stands where a node's metadata service would: answers on the TCP ports that it is given,
 * and at the addresses that it is given on UDP port 80. Says the address of whoever asked, a line a request.
 */
import { createSocket } from "node:dgram";
import http from "node:http";
import { isIP, isIPv4 } from "node:net";
import { normalizeAddress } from "#core/pod/address.ts";

const askedBy = (address = ""): void => void process.stdout.write(`${normalizeAddress(address)}\n`);
const listening = (): void => void process.stdout.write("listening\n");

for (const at of process.argv.slice(2)) {
  if (isIP(at) === 0) {
    http
      .createServer((request, response) => {
        askedBy(request.socket.remoteAddress);
        response.end("node-role");
      })
      .listen(Number(at), "::", listening);
  } else {
    const socket = createSocket(isIPv4(at) ? "udp4" : "udp6");
    socket.on("message", (_, { address, port }) => {
      askedBy(address);
      socket.send("node-role", port, address);
    });
    socket.bind(80, at, listening);
  }
}
