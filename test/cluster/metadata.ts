import { once } from "node:events";
import { createServer } from "node:http";

import { inNode, METADATA_ADDRESS, NODES, HUB } from "./network.ts";
import { run } from "./process.ts";

/** One request that got as far as the node's own metadata service. */
export interface MetadataRequest {
  /** Address of who asked: a node's for its agent, a pod's for a pod that was not intercepted. */
  readonly from: string;
  readonly method: string;
  readonly path: string;
}

/** The stand-in for the machine's metadata service, which would hand out the node's own role. */
export interface NodeMetadata {
  readonly requests: readonly MetadataRequest[];
}

/**
 * Answers at the metadata address, inside the cluster's network only, as an instance with the role
 * `node-role` would, and notes every request.
 */
export async function startNodeMetadata(resources: AsyncDisposableStack): Promise<NodeMetadata> {
  await run("ip", ["addr", "add", `${METADATA_ADDRESS}/32`, "dev", "hub"]);
  for (const { name } of NODES) {
    await inNode(name, "ip", ["route", "add", METADATA_ADDRESS, "via", HUB]);
  }
  const requests: MetadataRequest[] = [];
  const server = createServer((asked, answer) => {
    const { method = "GET", url = "/" } = asked;
    requests.push({ from: asked.socket.remoteAddress ?? "", method, path: url });
    if (method === "PUT") {
      answer.setHeader("x-aws-ec2-metadata-token-ttl-seconds", "21600");
      answer.end("node-token");
    } else if (url.endsWith("/security-credentials/")) answer.end("node-role");
    else if (url.includes("security-credentials")) {
      answer.end(JSON.stringify({ Code: "Success", AccessKeyId: "NODE", SecretAccessKey: "NODE" }));
    } else answer.end(`of the node: ${url}`);
  });
  server.listen(80, METADATA_ADDRESS);
  await once(server, "listening");
  resources.defer(() => void server.close());
  resources.defer(() => server.closeAllConnections());
  return { requests };
}
