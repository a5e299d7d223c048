import { once } from "node:events";
import net from "node:net";
import { NODE_PODS, type BenchPod } from "./pods.ts";

const CREDENTIALS = "/latest/meta-data/iam/security-credentials/";

/** A request of one pod, as SDKs send it: a handful of header fields. */
export function request(
  method: string,
  path: string,
  fields: Readonly<Record<string, string>> = {},
): string {
  const lines = Object.entries({
    Host: "169.254.169.254",
    "User-Agent": "aws-sdk-go-v2/1.41.7 os/linux lang/go#1.26 md/GOARCH#amd64",
    "Accept-Encoding": "gzip",
    ...fields,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

/** Asks for the pod's credentials, without a session token. */
export function v1Request({ role }: BenchPod, fields: Readonly<Record<string, string>> = {}) {
  return request("GET", CREDENTIALS + role, fields);
}

/** Asks for each pod's credentials with a session token that it has fetched before, once. */
export async function v2Tokens(port: number): Promise<readonly string[]> {
  const tokens: string[] = [];
  for (const pod of NODE_PODS) {
    const put = request("PUT", "/latest/api/token", {
      "X-aws-ec2-metadata-token-ttl-seconds": "21600",
      "Content-Length": "0",
    });
    const answer = await exchange(port, pod, put);
    tokens.push(answer.toString("latin1").split("\r\n\r\n")[1] ?? "");
  }
  return tokens;
}

/** Sends one request as the pod on a connection of its own. */
export async function exchange(port: number, { address }: BenchPod, text: string): Promise<Buffer> {
  const socket = net.connect({ port, host: "127.0.0.1", localAddress: address });
  try {
    socket.write(text);
    let answer = Buffer.alloc(0);
    while (!isWhole(answer)) {
      const [chunk] = (await once(socket, "data", {
        signal: AbortSignal.timeout(5_000),
      })) as [Buffer];
      answer = Buffer.concat([answer, chunk]);
    }
    if (!answer.toString("latin1", 0, 12).endsWith(" 200")) {
      throw new Error(`${address} was answered ${answer.toString("latin1").slice(0, 400)}`);
    }
    return answer;
  } finally {
    socket.destroy();
  }
}

function isWhole(answer: Buffer): boolean {
  const text = answer.toString("latin1");
  const end = text.indexOf("\r\n\r\n");
  const length = /\r\ncontent-length: (?<length>\d+)/i.exec(text)?.groups?.["length"];
  return end >= 0 && answer.length >= end + 4 + Number(length ?? 0);
}
