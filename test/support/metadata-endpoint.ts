import { createHmac } from "node:crypto";
import http from "node:http";
import { networkInterfaces } from "node:os";
import { AppError } from "#core/errors.ts";
import { Tokens } from "#core/imds/token.ts";
import { Secret } from "#core/secret.ts";
import type { RoleArn } from "#core/role/role-arn.ts";
import type { Credentials } from "#core/session/credentials.ts";
import { metadataEndpoint } from "#apps/agent/metadata-endpoint.ts";
import type { AnsweredEvent } from "#apps/agent/metadata-request.ts";
import type { KnownPod } from "#core/feed/node-table.ts";
import { type HttpListener, serveHttp } from "#edges/http/server.ts";
import { systemClock } from "#runtime/system-clock.ts";
import { FakeClock } from "./fake-clock.ts";

/** The role of the only pod there is. */
export const ROLE = "path/my-role";

/** What it is granted. */
export const ROLE_ARN = "arn:aws:iam::123456789012:role/path/my-role" as RoleArn;

/** What it is given. */
export const CREDENTIALS: Credentials = {
  accessKeyId: "ASIA1",
  secretAccessKey: new Secret("a<secret>"),
  sessionToken: new Secret("token"),
  issuedAt: Date.UTC(2026, 0, 1),
  expiresAt: Date.UTC(2026, 0, 1, 1),
};

/** `CREDENTIALS` as the body of an answer. */
export const CREDENTIALS_JSON =
  '{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIA1","SecretAccessKey":"a\\u003csecret\\u003e","Token":"token","Expiration":"2026-01-01T01:00:00Z","LastUpdated":"2026-01-01T00:00:00Z"}\n';

export interface EndpointWorldOptions {
  readonly kiamCompatible?: boolean;
  readonly requireImdsv2?: boolean;
  readonly allowIpQuery?: boolean;
  readonly allow?: (path: string) => boolean;
  readonly allowSource?: string;
  readonly host?: string;
}

/** What the endpoint is told by a world that a test changes as it likes. */
export interface EndpointWorld extends AsyncDisposable {
  role: string | AppError;
  credentials: Credentials | AppError;
  /** Why the pod may not have its role. */
  refusal: AppError | undefined;
  server: string | AppError;
  upstream: string | AppError;
  /** What is known of the only pod. */
  pod: KnownPod;
  /** False where requests for session tokens fail, which clients know how to go on from. */
  issuesTokens: boolean;
  /** Paths that the node's own service was asked for. */
  readonly asked: string[];
  /** Addresses that the server was asked about. */
  readonly addresses: string[];
  readonly events: AnsweredEvent[];
  readonly port: number;
  readonly clock: FakeClock;
}

function orThrow<T>(value: T | AppError): T {
  if (value instanceof AppError) throw value;
  return value;
}

const mac = (text: string): string => createHmac("sha256", "key").update(text).digest("base64url");

/** Serves the metadata endpoint on a port of the loopback interface. */
export async function serveEndpoint(options: EndpointWorldOptions = {}): Promise<EndpointWorld> {
  const clock = new FakeClock();
  const tokens = new Tokens({ macs: () => [mac], clock });
  const told = {
    role: ROLE as string | AppError,
    credentials: CREDENTIALS as Credentials | AppError,
    refusal: undefined as AppError | undefined,
    server: "ok" as string | AppError,
    upstream: "upstream" as string | AppError,
    pod: { uid: "uid-1", requireImdsv2: false, roleArn: ROLE_ARN } as KnownPod,
    issuesTokens: true,
    asked: [] as string[],
    addresses: [] as string[],
    events: [] as AnsweredEvent[],
    clock,
  };
  const listener: HttpListener = await serveHttp({
    port: 0,
    // Of its own: tests look at who sleeps on the other one.
    clock: systemClock,
    limits: { requestsSavedEach: Infinity },
    host: options.host ?? "127.0.0.1",
    handler: metadataEndpoint({
      table: {
        role: async (address) => {
          told.addresses.push(address);
          return orThrow(told.role);
        },
        listedRole: async (address) => {
          told.addresses.push(address);
          if (told.refusal !== undefined) throw told.refusal;
          return orThrow(told.role);
        },
        credentials: async (address, role) => {
          told.addresses.push(address);
          if (role !== ROLE) throw new AppError("role_mismatch", "another role");
          if (told.refusal !== undefined) throw told.refusal;
          return orThrow(told.credentials);
        },
      },
      podAt: async () => told.pod,
      tokens: {
        issue: (holder, ttlSeconds) => {
          if (!told.issuesTokens) throw new AppError("internal", "a bug");
          return tokens.issue(holder, ttlSeconds);
        },
        isValid: (token, holder) => tokens.isValid(token, holder),
      },
      upstream: async (path) => {
        told.asked.push(path);
        return { status: 200, contentType: "text/plain", body: orThrow(told.upstream) };
      },
      allow: options.allow ?? (() => true),
      allowSource: options.allowSource ?? ".*",
      requireImdsv2: options.requireImdsv2 ?? false,
      kiamCompatible: options.kiamCompatible ?? false,
      allowIpQuery: options.allowIpQuery ?? false,
      serverHealth: async () => orThrow(told.server),
      clock,
      observe: (event) => told.events.push(event),
    }),
  });
  return Object.assign(told, {
    port: listener.port,
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  });
}

const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === "::1"),
);

/** Why tests over IPv6 are skipped; false when they are not. */
export const SKIP_IPV6 = hasIpv6 ? false : "this machine has no address ::1";

/** The loopback addresses that all is the same over. */
export const WAYS_IN = [
  { host: "127.0.0.1", skip: false },
  { host: "::1", skip: SKIP_IPV6 },
] as const;

export type RequestOptions = http.RequestOptions;

/** What came back for one request. */
export interface Reply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** Makes one request on a connection of its own, its path exactly as given. */
export function send(
  port: number,
  path: string,
  options: http.RequestOptions = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    http
      .request({ port, host: "127.0.0.1", path, agent: false, ...options }, (response) => {
        let body = "";
        response.on("data", (chunk) => (body += String(chunk)));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        );
      })
      .on("error", reject)
      .end();
  });
}

/** Paths to credentials, keys and user data that a careless proxy would let through. */
export const LEAKS = [
  "/latest/meta-data/iam/security-credentials/x%0a",
  "/latest/meta-data/iam/security-credentials/x%0d",
  "/latest/meta-data/iam%0a/security-credentials/",
  "/latest/meta-data/iam;a/security-credentials/",
  "/latest/meta-data/iam/security-credentials;a/node",
  "/latest/meta-data/iam/security-credentials%20/",
  "/latest/meta-data/iam%20/security-credentials/",
  "/latest/meta-data/iam/info",
  "/latest/meta-data/iam/",
  "/latest/meta-data/IAM/Security-Credentials/node",
  "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
  "/latest/meta-data/iam/security-credentials-extended%0a/node",
  "/latest/meta-data/managed-ssh-keys/active-keys/a",
  "/latest/user-data",
  "/latest//user-data/",
  "/latest/%75ser-data",
  "/latest/%2575ser-data",
  "/latest/meta-data/../user-data",
  "/latest/meta-data/%2e%2e/user-data",
  "/latest/meta-data%2f..%2fuser-data",
  "/latest/meta-data\\..\\user-data",
  "/latest/USER-DATA",
  "/latest/user-data%00",
  "/latest/meta-data/public-keys/",
  "http://169.254.169.254/latest/user-data",
  "/latest/api/token",
];
