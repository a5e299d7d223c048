import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { describe, test } from "node:test";
import { countListening, listeningSockets } from "./listening-sockets.ts";

const TCP6 = `  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:1FF5 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: 00000000000000000000000000000000:1FF5 00000000000000000000000000000000:0000 0A 00000000:00000000
   2: 00000000000000000000000000000000:0050 00000000000000000000000000000000:1FF5 0A 00000000:00000000
   3: 0000000000000000FFFF00000100007F:1FF5 0000000000000000FFFF00000100007F:D431 01 00000000:00000000
`;

describe("listeningSockets", () => {
  test("counts what listens on the port, and neither connections nor other ports", () => {
    assert.deepEqual([countListening(TCP6, 8_181), countListening(TCP6, 80)], [2, 1]);
    assert.equal(countListening(TCP6, 8_080), 0);
  });

  test("sees each socket that shares a port", async () => {
    const open = async (port: number): Promise<net.Server> => {
      const server = net.createServer().listen({ port, host: "127.0.0.1", reusePort: true });
      await once(server, "listening");
      return server;
    };
    const first = await open(0);
    const { port } = first.address() as net.AddressInfo;
    assert.equal(await listeningSockets(port), 1);
    const second = await open(port);
    assert.equal(await listeningSockets(port), 2);
    first.close();
    second.close();
    await Promise.all([once(first, "close"), once(second, "close")]);
    assert.equal(await listeningSockets(port), 0);
  });
});
