/**
 * A program that opens connections from ten loopback addresses, asks for /ping on each, says
 * `open <count>` once all were answered, and then keeps them and says nothing until it is killed.
 *
 * It is a process of its own so that its sockets don't count against the open files of the test.
 */
import { once } from "node:events";
import net from "node:net";

const ADDRESSES = 10;
/** Well below the backlog of a listening socket, beyond which connecting is a matter of seconds. */
const AT_ONCE = 100;
const [port, count] = process.argv.slice(2).map(Number);

async function open(index: number): Promise<void> {
  const localAddress = `127.0.1.${1 + (index % ADDRESSES)}`;
  const socket = net.connect({ port: port ?? 0, host: "127.0.0.1", localAddress });
  socket.write("GET /ping HTTP/1.1\r\nHost: a\r\n\r\n");
  const [answer] = (await once(socket, "data")) as [Buffer];
  if (!answer.toString().endsWith("pong")) throw new Error(`answered ${answer.toString()}`);
  socket.on("close", () => process.exit(1));
}

const all = Array.from({ length: count ?? 0 }, (_, index) => index);
for (let start = 0; start < all.length; start += AT_ONCE) {
  await Promise.all(all.slice(start, start + AT_ONCE).map(open));
}
process.stdout.write(`open ${all.length}\n`);
