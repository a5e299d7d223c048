import { AppError } from "#core/errors.ts";
import { credentialsAnswer, failureAnswer, textAnswer, tokenAnswer } from "#core/imds/answers.ts";
import { isNeverAllowed } from "#core/imds/deny-list.ts";
import { parsePath, queryValue, routeOf } from "#core/imds/path.ts";
import { parseTtl } from "#core/imds/token.ts";
import { httpStatus } from "#edges/http/status.ts";
import type { Answered, MetadataEndpointOptions, MetadataRequest } from "./exchange.ts";

const NOT_FOUND = "not found";

/** Answers as the metadata service would (specs/aws-clients.md §10): no redirect, both slashes. */
export async function answerImds(
  options: MetadataEndpointOptions,
  request: MetadataRequest,
): Promise<Answered> {
  const parsed = parsePath(request.target);
  if (!parsed.ok)
    return { answer: textAnswer(400, parsed.reason), handler: "proxy", outcome: "blocked" };
  const address = addressOf(options, request, parsed.query);
  const route = routeOf(parsed.path);
  if (route.to === "token") return putToken(options, request);
  if (request.method !== "GET" && request.method !== "HEAD") {
    return { answer: textAnswer(405, "method not allowed", { Allow: "GET, HEAD" }) };
  }
  if (route.to === "ping") return { answer: textAnswer(200, "pong") };
  if (route.to === "health") return health(options, request, parsed.query);
  const refusal = refusedToken(options, request);
  if (refusal !== undefined) return refusal;
  switch (route.to) {
    case "role-list":
      return roleList(options, address, request.signal);
    case "credentials":
      return credentials(options, address, route.role, request.signal);
    case "iam-info":
      return { answer: textAnswer(404, NOT_FOUND) };
    default:
      return other(options, parsed.path, request.signal);
  }
}

/** Who asks: the socket's peer, or what a developer says where that was switched on. */
export function addressOf(
  { allowIpQuery }: MetadataEndpointOptions,
  { address }: MetadataRequest,
  query: string,
): string {
  const said = allowIpQuery ? queryValue(query, "ip") : undefined;
  return said === undefined || said === "" ? address : said;
}

function putToken(options: MetadataEndpointOptions, request: MetadataRequest): Answered {
  if (request.method !== "PUT") {
    return { answer: textAnswer(405, "method not allowed", { Allow: "PUT" }) };
  }
  // A proxy in between would take the token for others than the one who gets it.
  if (request.isForwarded) return { answer: textAnswer(403, "forbidden") };
  const ttl = parseTtl(request.ttl);
  if (ttl === undefined) return { answer: textAnswer(400, "token TTL must be 1 to 21600 seconds") };
  // Bound to the socket's address: `?ip=` is for the pod that is asked about.
  return { answer: tokenAnswer(options.tokens.issue(request.address, ttl), ttl) };
}

function refusedToken(
  { tokens, requireImdsv2 }: MetadataEndpointOptions,
  { token, address }: MetadataRequest,
): Answered | undefined {
  const isFine = token === undefined ? !requireImdsv2 : tokens.isValid(token, address);
  return isFine ? undefined : { answer: textAnswer(401, "session token missing or not valid") };
}

async function roleList(
  { table, clock }: MetadataEndpointOptions,
  address: string,
  signal: AbortSignal,
): Promise<Answered> {
  try {
    const role = await table.role(address, signal);
    return { answer: textAnswer(200, role), handler: "roleName", outcome: "success" };
  } catch (thrown) {
    const error = AppError.from(thrown);
    return {
      answer: failureAnswer(error, httpStatus(error.code), clock.now()),
      handler: "roleName",
      outcome: error.code === "no_role" ? "empty_role" : "find_role_error",
      code: error.code,
    };
  }
}

async function credentials(
  { table, clock }: MetadataEndpointOptions,
  address: string,
  role: string,
  signal: AbortSignal,
): Promise<Answered> {
  try {
    const held = await table.credentials(address, role, signal);
    return { answer: credentialsAnswer(held), handler: "credentials", outcome: "success" };
  } catch (thrown) {
    const error = AppError.from(thrown);
    return {
      answer: failureAnswer(error, httpStatus(error.code), clock.now()),
      handler: "credentials",
      outcome: "credential_fetch_error",
      code: error.code,
    };
  }
}

async function other(
  { allow, upstream }: MetadataEndpointOptions,
  path: string,
  signal: AbortSignal,
): Promise<Answered> {
  if (isNeverAllowed(path) || !allow(path)) {
    return { answer: textAnswer(404, NOT_FOUND), handler: "proxy", outcome: "blocked" };
  }
  const { status, headers, body } = await upstream(path, signal);
  const type = headers["content-type"];
  return {
    answer: textAnswer(status, body, type === undefined ? {} : { "Content-Type": type }),
    handler: "proxy",
    outcome: status < 400 ? "success" : "error",
  };
}

/** Says what the agent knows of the server; only `?deep` makes the server's state the status. */
async function health(
  { serverHealth }: MetadataEndpointOptions,
  { signal }: MetadataRequest,
  query: string,
): Promise<Answered> {
  const server = await serverHealth(signal).catch(() => "unavailable");
  const isDeep = (queryValue(query, "deep") ?? "") !== "";
  const status = isDeep && server !== "ok" ? 500 : 200;
  const body = JSON.stringify({ agent: "ok", server: server === "ok" ? "ok" : "unavailable" });
  return {
    answer: textAnswer(status, body, { "Content-Type": "application/json" }),
    handler: "health",
    outcome: status === 200 ? "success" : "error",
  };
}
