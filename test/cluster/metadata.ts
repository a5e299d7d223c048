import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";

import { CREDENTIAL_ADDRESSES, isPodAddress } from "./network.ts";

/** One request that got as far as the node's own metadata service. */
export interface MetadataRequest {
  /** Address of who asked: a node's for its agent, a pod's for a pod that was not intercepted. */
  readonly from: string;
  /** Address that was asked. */
  readonly at: string;
  readonly method: string;
  readonly path: string;
}

/** The stand-in for what serves credentials of the node itself. */
export interface NodeMetadata {
  readonly requests: readonly MetadataRequest[];
  /** Those of pods: each of them was not intercepted. */
  fromPods(): readonly MetadataRequest[];
  /** Counts from here on. @returns what `fromPods` has counted until now. */
  forget(): readonly MetadataRequest[];
}

/**
 * Answers at the metadata service's and the container endpoint's addresses, inside the cluster's network only, as an
 * instance with the role `node-role` would, and notes every request.
 */
export async function startNodeMetadata(resources: AsyncDisposableStack): Promise<NodeMetadata> {
  const requests: MetadataRequest[] = [];
  const serve: RequestListener = (asked, answer) => {
    const { method = "GET", url = "/" } = asked;
    const { remoteAddress: from = "", localAddress: at = "" } = asked.socket;
    requests.push({ from, at, method, path: url });
    if (method === "PUT") {
      answer.setHeader("x-aws-ec2-metadata-token-ttl-seconds", "21600");
      answer.end("node-token");
    } else if (url.endsWith("/security-credentials/")) answer.end("node-role");
    else if (url.includes("security-credentials")) {
      answer.end(JSON.stringify({ Code: "Success", AccessKeyId: "NODE", SecretAccessKey: "NODE" }));
    } else answer.end(`of the node: ${url}`);
  };
  for (const address of Object.values(CREDENTIAL_ADDRESSES).flat()) {
    const server = createServer(serve).listen(80, address);
    await once(server, "listening");
    resources.defer(() => void server.close());
    resources.defer(() => server.closeAllConnections());
  }
  const ofPods = (counted: readonly MetadataRequest[]): readonly MetadataRequest[] =>
    counted.filter(({ from }) => isPodAddress(from));
  return {
    requests,
    fromPods: () => ofPods(requests),
    forget: () => ofPods(requests.splice(0)),
  };
}
