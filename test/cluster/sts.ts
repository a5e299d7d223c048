import { once } from "node:events";
import { readFile } from "node:fs/promises";
import {
  createServer as createOpenServer,
  request,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import { createServer } from "node:https";
import { join } from "node:path";

import type { Authority } from "./certificates.ts";
import { HUB } from "./network.ts";
import { launch, until } from "./process.ts";

const MOTO_PORT = 5_000;
const GATEWAY_PORT = 8_443;
const OPEN_PORT = 8_480;

/** Where the servers find STS. */
export const STS_URL = `https://${HUB}:${GATEWAY_PORT}`;
/** Where pods find it: without TLS, so that none needs to be told of the suite's authority. */
export const OPEN_STS_URL = `http://${HUB}:${OPEN_PORT}`;

/** What STS does, from the next call on: with AssumeRole, or with every call when it is gone. */
export type StsMood = "works" | "fails" | "throttles" | "gone";

/** One AssumeRole call that STS was asked for. */
export interface AssumeRoleCall {
  /** Address of the server that called. */
  readonly from: string;
  readonly roleArn: string;
  readonly status: number;
}

/** moto's STS behind TLS. Every call is noted; AssumeRole can be made to fail. */
export interface Sts {
  /** Every AssumeRole call so far. */
  readonly calls: readonly AssumeRoleCall[];
  /** The role ARN for which an access key was issued. */
  roleOf(accessKeyId: string): string | undefined;
  become(mood: StsMood): void;
}

export interface StsOptions {
  readonly motoPython: string;
  readonly authority: Authority;
  readonly logs: string;
  readonly resources: AsyncDisposableStack;
  readonly signal: AbortSignal;
}

export async function startSts(options: StsOptions): Promise<Sts> {
  const { motoPython, authority, logs, resources, signal } = options;
  const daemon = resources.use(
    launch({
      name: "moto",
      command: motoPython,
      args: ["-m", "moto.server", "--host", "127.0.0.1", "--port", String(MOTO_PORT)],
      log: join(logs, "moto.log"),
    }),
  );
  const calls: AssumeRoleCall[] = [];
  const issued = new Map<string, string>();
  let mood: StsMood = "works";

  const serve = async (asked: IncomingMessage, answer: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of asked) chunks.push(chunk as Buffer);
    if (mood === "gone") throw new Error("STS is gone");
    const body = Buffer.concat(chunks);
    const form = new URLSearchParams(body.toString());
    const assumes = form.get("Action") === "AssumeRole";
    const { status, text } =
      assumes && mood !== "works"
        ? FAULTS[mood]
        : await forward(asked.method ?? "POST", asked.url ?? "/", asked.headers, body);
    if (assumes) {
      const roleArn = form.get("RoleArn") ?? "";
      calls.push({ from: asked.socket.remoteAddress ?? "", roleArn, status });
      const key = /<AccessKeyId>(?<key>[^<]+)/.exec(text)?.groups?.["key"];
      if (key !== undefined) issued.set(key, roleArn);
    }
    answer.writeHead(status, { "content-type": "text/xml" }).end(text);
  };
  const own = await authority.issue("sts", "CN=sts", [HUB]);
  const listener: RequestListener = (asked, answer) =>
    void serve(asked, answer).catch(() => answer.destroy());
  const tls = { cert: await readFile(own.certificate), key: await readFile(own.key) };
  const doors = [
    { server: createServer(tls, listener), port: GATEWAY_PORT },
    { server: createOpenServer(listener), port: OPEN_PORT },
  ];
  for (const { server, port } of doors) {
    server.listen(port, HUB);
    await once(server, "listening");
    resources.defer(() => void server.close());
    resources.defer(() => server.closeAllConnections());
  }

  const answers = async (): Promise<boolean> =>
    (await forward("GET", "/moto-api/data.json", {}, Buffer.alloc(0))).status === 200;
  await until(answers, { what: "moto", withinMs: 60_000, signal, daemon });
  return {
    calls,
    roleOf: (key) => issued.get(key),
    become: (next) => {
      mood = next;
    },
  };
}

const FAULTS = {
  fails: { status: 503, text: fault("ServiceUnavailable", "Service is unavailable") },
  throttles: { status: 400, text: fault("Throttling", "Rate exceeded") },
} as const;

function fault(code: string, message: string): string {
  const type = code === "Throttling" ? "Sender" : "Receiver";
  return (
    `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>${type}</Type>` +
    `<Code>${code}</Code><Message>${message}</Message></Error><RequestId>0</RequestId></ErrorResponse>`
  );
}

async function forward(
  method: string,
  path: string,
  headers: NodeJS.Dict<string | string[]>,
  body: Buffer,
): Promise<{ readonly status: number; readonly text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  request({ host: "127.0.0.1", port: MOTO_PORT, method, path, headers }, (response) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => chunks.push(chunk)).on("error", reject);
    response.on("end", () =>
      resolve({ status: response.statusCode ?? 502, text: Buffer.concat(chunks).toString() }),
    );
  })
    .on("error", reject)
    .end(body);
  return promise;
}
