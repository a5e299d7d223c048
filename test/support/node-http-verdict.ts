import http from "node:http";
import { Duplex } from "node:stream";

/** A request as some reader understood it: method, target, and each header with its values joined. */
export type SeenRequest = readonly [string, string, Readonly<Record<string, string>>];

/** The requests that `node:http` takes from these bytes, bodies included, until it refuses or waits. */
export async function nodeHttpVerdict(bytes: string): Promise<SeenRequest[]> {
  const requests: http.IncomingMessage[] = [];
  const server = http.createServer({ maxHeaderSize: 16_384 }, (request, response) => {
    requests.push(request.resume());
    response.end();
  });
  const connection = new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, done) => done(),
  });
  connection.on("error", () => undefined);
  server.on("clientError", () => connection.destroy());
  server.emit("connection", connection);
  connection.push(Buffer.from(bytes, "latin1"));
  // What can be read of bytes in memory is read within some turns of the loop.
  for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => void setImmediate(resolve));
  connection.destroy();
  return requests.filter(({ complete }) => complete).map(asSeen);
}

function asSeen({ method = "", url = "", headersDistinct }: http.IncomingMessage): SeenRequest {
  const headers = Object.entries(headersDistinct);
  return [
    method,
    url,
    Object.fromEntries(headers.map(([name, all = []]) => [name, all.join(", ")])),
  ];
}
