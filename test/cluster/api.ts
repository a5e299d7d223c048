import { readFile } from "node:fs/promises";
import { Agent, request } from "node:https";

/** A Kubernetes object, as far as the suite reads it. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name?: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

export interface KubeList {
  readonly items: readonly KubeObject[];
}

/** The API server, asked with all rights. */
export interface KubeApi extends Disposable {
  /** @throws when the answer's status is 400 or more. */
  call(method: string, path: string, body?: unknown): Promise<unknown>;
  /** The text of a path that answers no JSON: logs, metrics, health. */
  text(path: string): Promise<string>;
}

export interface KubeApiOptions {
  readonly url: string;
  readonly authority: string;
  readonly token: string;
}

/** How long a call may take. */
const CALL_MS = 20_000;

export async function connectApi({ url, authority, token }: KubeApiOptions): Promise<KubeApi> {
  const agent = new Agent({ keepAlive: true, ca: await readFile(authority), maxSockets: 32 });
  const send = async (method: string, path: string, body?: unknown): Promise<string> => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
    const call = request(
      new URL(path, url),
      {
        method,
        agent,
        timeout: CALL_MS,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { "content-type": type }),
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk)).on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          if ((response.statusCode ?? 500) < 400) resolve(text);
          else
            reject(
              new Error(`Cannot ${method} ${path}: ${response.statusCode} ${text.slice(0, 500)}`),
            );
        });
      },
    );
    call.on("timeout", () =>
      call.destroy(new Error(`Cannot ${method} ${path} within ${CALL_MS} ms`)),
    );
    call.on("error", reject).end(body === undefined ? undefined : JSON.stringify(body));
    return promise;
  };
  return {
    call: async (method, path, body) => JSON.parse(await send(method, path, body)),
    text: (path) => send("GET", path),
    [Symbol.dispose]: () => agent.destroy(),
  };
}
