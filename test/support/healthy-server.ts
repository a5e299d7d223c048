/** A program that is a server of Rolecall to whoever asks for its health; says how an agent reaches it. */
import { rpcWorld } from "#test/rpc.ts";

const world = await rpcWorld();
const server = await world.serve({});
const { paths } = await world.filesFor({ names: ["agent"], server: false });
const flags = [
  `--cert=${paths.cert}`,
  `--key=${paths.key}`,
  `--ca=${paths.ca}`,
  `--server-address=127.0.0.1:${server.port}`,
];
process.once("SIGTERM", () => void world[Symbol.asyncDispose]());
process.stdout.write(`${JSON.stringify(flags)}\n`);
