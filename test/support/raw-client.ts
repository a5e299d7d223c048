import { once } from "node:events";
import http from "node:http";
import net from "node:net";

/** A client that never closes its side of a connection by itself, and what it was told. */
export function dial(port: number, bytes = "", localAddress = "127.0.0.1") {
  const socket = net.connect({ port, host: "127.0.0.1", localAddress, allowHalfOpen: true });
  const told = { text: "", isOver: false };
  let wake = Promise.withResolvers<void>();
  const note = (change: () => void): void => {
    change();
    wake.resolve();
    wake = Promise.withResolvers();
  };
  socket.on("error", () => undefined);
  socket.on("data", (chunk) => note(() => (told.text += chunk.toString("latin1"))));
  for (const event of ["end", "close"]) socket.on(event, () => note(() => (told.isOver = true)));
  socket.write(bytes);
  return {
    socket,
    told,
    /** What was said until the condition held; the test's timeout bounds the wait. */
    async until(condition: (told: { text: string; isOver: boolean }) => boolean): Promise<string> {
      while (!condition(told)) await wake.promise;
      return told.text;
    },
  };
}

/** What a server says to these bytes until it closes the connection. */
export async function said(port: number, bytes = ""): Promise<string> {
  const client = dial(port, bytes);
  const text = await client.until(({ isOver }) => isOver);
  client.socket.destroy();
  return text;
}

/** The body of `/ping`, asked for on a connection of its own. */
export async function ping(port: number, localAddress = "127.0.0.1"): Promise<string> {
  const request = http.get({ port, host: "127.0.0.1", path: "/ping", agent: false, localAddress });
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  let body = "";
  for await (const chunk of response) body += String(chunk);
  return body;
}
