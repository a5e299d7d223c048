// Lets only IMDSv1 through to the metadata service at METADATA: clients speak it where session tokens are refused.
import { createServer, request } from "node:http";

const metadata = new URL(process.env.METADATA);

createServer((asked, answer) => {
  const { method, url: path } = asked;
  if (method === "PUT") return answer.writeHead(403).end();
  const headers = { ...asked.headers, host: metadata.host };
  const host = metadata.hostname.replace(/[[\]]/g, "");
  return request({ host, method, path, headers }, (response) => {
    answer.writeHead(response.statusCode, response.headers);
    response.pipe(answer);
  })
    .on("error", () => answer.destroy())
    .end();
}).listen(8001, "127.0.0.1");
