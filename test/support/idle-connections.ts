/**
 * A program that opens connections, asks for /ping on each, says `open <count>` once all were answered,
 * and then keeps them and says nothing until its input ends.
 *
 * It is a process of its own so that its sockets don't count against the open files of the test.
 */
import { once } from "node:events";
import net from "node:net";

/** Well below the backlog of a listening socket, beyond which connecting is a matter of seconds. */
const AT_ONCE = 100;
const [port, count] = process.argv.slice(2).map(Number);

async function open(): Promise<net.Socket> {
  const socket = net.connect({ port: port ?? 0, host: "127.0.0.1" });
  socket.write("GET /ping HTTP/1.1\r\nHost: a\r\n\r\n");
  const [answer] = (await once(socket, "data")) as [Buffer];
  if (!answer.toString().endsWith("pong")) throw new Error(`answered ${answer.toString()}`);
  socket.on("close", () => process.exit(1));
  return socket;
}

const sockets: net.Socket[] = [];
while (sockets.length < (count ?? 0)) {
  const more = Math.min(AT_ONCE, (count ?? 0) - sockets.length);
  sockets.push(...(await Promise.all(Array.from({ length: more }, open))));
}
process.stdout.write(`open ${sockets.length}\n`);
process.stdin.resume().once("end", () => {
  // Reset, so that their ports are free for other tests at once.
  for (const socket of sockets) socket.removeAllListeners("close").resetAndDestroy();
});
