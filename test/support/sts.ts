import { randomBytes } from "node:crypto";
import { once } from "node:events";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { readSignature } from "./sts/signature.ts";

/** One AssumeRole that was granted. */
export interface AssumeRoleCall {
  readonly roleArn: string;
  readonly sessionName: string;
  readonly externalId: string | undefined;
  readonly durationSeconds: number;
  readonly callerArn: string;
}

/** How STS misbehaves. */
export type StsFault = number | "html" | "truncated" | "hang" | "reset";

export interface StsOptions {
  readonly account?: string;
  /** Long-lived keys that it knows, by access key id. */
  readonly baseKeys?: Readonly<Record<string, string>>;
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** A simulator of AWS STS that verifies every signature. */
export interface StsSimulator extends AsyncDisposable {
  readonly url: string;
  readonly assumeRoleCalls: readonly AssumeRoleCall[];
  /** Every request, whatever became of it. */
  readonly requests: number;
  /** Refuses to let anybody assume the role. */
  deny(roleArn: string, isDenied?: boolean): void;
  throttle(isOn: boolean): void;
  /** Misbehaves until told otherwise; undefined heals it. */
  fail(fault: StsFault | undefined): void;
  /** How far its clock is ahead of this machine's; requests that are five minutes off are refused. */
  clockAhead(seconds: number): void;
  /** Life of what it issues, counted from now; may be negative. Undefined: as asked for. */
  lifeSeconds(seconds: number | undefined): void;
}

interface Key {
  readonly secret: string;
  readonly arn: string;
  readonly token: string | undefined;
}

const BODY_MAX = 65_536;
/** How far a request's time may be from STS's own. */
const SKEW_MS_MAX = 300_000;
const XMLNS = "https://sts.amazonaws.com/doc/2011-06-15/";

/** Starts it on a free port of 127.0.0.1. */
export async function startSts(options: StsOptions = {}): Promise<StsSimulator> {
  const sts = new Sts(options);
  const listener = (request: IncomingMessage, response: ServerResponse): void =>
    void sts.handle(request, response);
  const server =
    options.tls === undefined
      ? http.createServer(listener)
      : https.createServer(options.tls, listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `${options.tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    assumeRoleCalls: sts.calls,
    get requests() {
      return sts.requests;
    },
    deny: (roleArn, isDenied = true) =>
      void (isDenied ? sts.denied.add(roleArn) : sts.denied.delete(roleArn)),
    throttle: (isOn) => void (sts.isThrottling = isOn),
    fail: (fault) => void (sts.fault = fault),
    clockAhead: (seconds) => void (sts.aheadMs = seconds * 1_000),
    lifeSeconds: (seconds) => void (sts.life = seconds),
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

class Sts {
  readonly calls: AssumeRoleCall[] = [];
  readonly denied = new Set<string>();
  requests = 0;
  isThrottling = false;
  fault: StsFault | undefined;
  life: number | undefined;
  aheadMs = 0;
  readonly #account: string;
  readonly #keys = new Map<string, Key>();

  constructor({ account = "123456789012", baseKeys = { AKIATEST: "test-secret" } }: StsOptions) {
    this.#account = account;
    for (const [id, secret] of Object.entries(baseKeys)) {
      const arn = `arn:aws:sts::${this.#account}:assumed-role/rolecall-server/i-0`;
      this.#keys.set(id, { secret, arn, token: undefined });
    }
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests += 1;
    let body = "";
    for await (const chunk of request) {
      body += String(chunk);
      if (body.length > BODY_MAX) return void request.destroy();
    }
    if (this.fault !== undefined) return misbehave(this.fault, response);
    if (this.isThrottling) return refuse(response, 400, "Throttling", "Rate exceeded");
    const signed = readSignature(request, body);
    const key = signed === undefined ? undefined : this.#keys.get(signed.accessKeyId);
    if (signed === undefined || key === undefined || key.token !== signed.sessionToken) {
      return refuse(response, 403, "InvalidClientTokenId", "The security token is invalid.");
    }
    if (!signed.isBy(key.secret)) {
      return refuse(response, 403, "SignatureDoesNotMatch", "The signature does not match.");
    }
    response.setHeader("date", new Date(this.#now()).toUTCString());
    if (Math.abs(signed.at - this.#now()) > SKEW_MS_MAX) {
      const when = signed.at < this.#now() ? "expired" : "not yet current";
      const message = `Signature ${when}: ${new Date(signed.at).toISOString()} is not within 5 min. of ${new Date(this.#now()).toISOString()}`;
      return refuse(response, 403, "SignatureDoesNotMatch", message);
    }
    const parameters = new URLSearchParams(body);
    switch (parameters.get("Action")) {
      case "GetCallerIdentity":
        return answer(
          response,
          "GetCallerIdentity",
          `<Arn>${key.arn}</Arn><UserId>AROATEST</UserId><Account>${key.arn.split(":")[4]}</Account>`,
        );
      case "AssumeRole":
        return this.#assumeRole(parameters, key, response);
      default:
        return refuse(response, 400, "InvalidAction", "No such action.");
    }
  }

  #now(): number {
    return Date.now() + this.aheadMs;
  }

  #assumeRole(parameters: URLSearchParams, caller: Key, response: ServerResponse): void {
    const roleArn = parameters.get("RoleArn") ?? "";
    const sessionName = parameters.get("RoleSessionName") ?? "";
    const durationSeconds = Number(parameters.get("DurationSeconds") ?? 3600);
    const role = /^arn:aws[\w-]*:iam::(?<account>\d{12}):role\/(?:.*\/)?(?<name>[^/]+)$/.exec(
      roleArn,
    );
    if (role?.groups === undefined || !/^[\w+=,.@-]{2,64}$/.test(sessionName)) {
      return refuse(response, 400, "ValidationError", "A parameter is not valid.");
    }
    const most = caller.token === undefined ? 43_200 : 3_600;
    if (!(durationSeconds >= 900 && durationSeconds <= most)) {
      const message = `The requested DurationSeconds exceeds ${most} s.`;
      return refuse(response, 400, "ValidationError", message);
    }
    if (this.denied.has(roleArn)) {
      const message = `User: ${caller.arn} is not authorized to perform: sts:AssumeRole on resource: ${roleArn}`;
      return refuse(response, 403, "AccessDenied", message);
    }
    const id = `ASIA${randomBytes(8).toString("hex").toUpperCase()}`;
    const secret = randomBytes(20).toString("base64");
    const token = randomBytes(48).toString("base64");
    const { account, name } = role.groups;
    const arn = `arn:aws:sts::${account}:assumed-role/${name}/${sessionName}`;
    this.#keys.set(id, { secret, arn, token });
    const externalId = parameters.get("ExternalId") ?? undefined;
    this.calls.push({ roleArn, sessionName, externalId, durationSeconds, callerArn: caller.arn });
    const ends = new Date(this.#now() + (this.life ?? durationSeconds) * 1_000);
    const expiration = ends.toISOString().replace(/\.\d+Z$/, "Z");
    answer(
      response,
      "AssumeRole",
      `<Credentials><AccessKeyId>${id}</AccessKeyId><SecretAccessKey>${secret}</SecretAccessKey><SessionToken>${token}</SessionToken><Expiration>${expiration}</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>AROATEST:${sessionName}</AssumedRoleId><Arn>${arn}</Arn></AssumedRoleUser>`,
    );
  }
}

function answer(response: ServerResponse, action: string, result: string): void {
  send(
    response,
    200,
    `<${action}Response xmlns="${XMLNS}"><${action}Result>${result}</${action}Result><ResponseMetadata><RequestId>${requestId()}</RequestId></ResponseMetadata></${action}Response>`,
  );
}

function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  send(
    response,
    status,
    `<ErrorResponse xmlns="${XMLNS}"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>${requestId()}</RequestId></ErrorResponse>`,
  );
}

function misbehave(fault: StsFault, response: ServerResponse): void {
  switch (fault) {
    case "hang":
      return;
    case "reset":
      response.destroy();
      return;
    case "html":
      response.writeHead(200, { "content-type": "text/html" });
      response.end("<html><body>Welcome to the proxy</body></html>");
      return;
    case "truncated":
      send(
        response,
        200,
        `<AssumeRoleResponse xmlns="${XMLNS}"><AssumeRoleResult><Credentials><Acc`,
      );
      return;
    default:
      send(response, fault, "<html><body>upstream trouble</body></html>");
  }
}

function send(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { "content-type": "text/xml" });
  response.end(body);
}

function requestId(): string {
  return randomBytes(8).toString("hex");
}
