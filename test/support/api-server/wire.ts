import type { IncomingMessage, ServerResponse } from "node:http";

/**
 * What goes out to clients. Frozen, it says nothing and closes nothing, as a peer behind a cut
 * cable; thawed, it says what it held back.
 */
export class Wire {
  #frozen = false;
  #held: (() => void)[] = [];

  freeze(): void {
    this.#frozen = true;
  }

  thaw(): void {
    this.#frozen = false;
    const held = this.#held;
    this.#held = [];
    for (const send of held) send();
  }

  /** Sends now, or when thawed. */
  send(write: () => void): void {
    if (this.#frozen) this.#held.push(write);
    else write();
  }
}

/** A `Status` object, the API server's form of an error. */
export function statusObject(code: number, message: string): object {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    reason: REASONS[code] ?? "InternalError",
    code,
  };
}

const REASONS: Readonly<Record<number, string>> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  410: "Expired",
  429: "TooManyRequests",
  503: "ServiceUnavailable",
};

/** Answers with one JSON document. */
export function answerJson(
  response: ServerResponse,
  status: number,
  document: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(`${JSON.stringify(document)}\n`);
}

/** The request's body as text; bodies here are small. */
export async function bodyText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
