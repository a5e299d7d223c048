import { AppError } from "#core/errors.ts";
import {
  TOKEN_HEADER,
  TTL_HEADER,
  type MetadataAnswer,
  credentialsAnswer,
  failureAnswer,
  textAnswer,
  tokenAnswer,
} from "#core/imds/answers.ts";
import { isNeverAllowed } from "#core/imds/deny-list.ts";
import { parsePath, queryValue, routeOf } from "#core/imds/path.ts";
import { parseTtl } from "#core/imds/token.ts";
import { httpStatus } from "#edges/http/status.ts";
import type { EndpointParts, HandlerLabel, MetadataRequest } from "./metadata-request.ts";

/** An answer and what is told of it. */
export interface Answered {
  readonly answer: MetadataAnswer;
  readonly handler: HandlerLabel | undefined;
  readonly path: string;
  readonly error?: AppError;
  readonly isBlocked?: boolean;
}

/** Answers as the metadata service does (specs: aws-clients.md §10). */
export async function answerAsAws(
  request: MetadataRequest,
  parts: EndpointParts,
): Promise<Answered> {
  const parsed = parsePath(request.target);
  if (!parsed.ok) {
    return { answer: textAnswer(404, ""), handler: "proxy", path: "", isBlocked: true };
  }
  const { path } = parsed;
  const route = routeOf(path);
  if (route.to === "ping") return { answer: textAnswer(200, "pong"), handler: undefined, path };
  if (route.to === "token")
    return { answer: answerToken(request, parts), handler: undefined, path };
  if (request.method !== "GET" && request.method !== "HEAD") {
    const answer = textAnswer(405, "", { Allow: "GET, HEAD" });
    return { answer, handler: undefined, path };
  }
  if (route.to === "health") return health(path, parsed.query, request, parts);
  const unauthorized = answerUnauthorized(request, parts);
  if (unauthorized !== undefined) return { answer: unauthorized, handler: undefined, path };
  switch (route.to) {
    case "role-list":
      return guard("roleName", path, parts, () => listRole(request, parts));
    case "credentials":
      return guard("credentials", path, parts, async () =>
        credentialsAnswer(
          await parts.table.credentials(request.address, route.role, request.signal),
        ),
      );
    case "iam-info":
      return { answer: textAnswer(404, ""), handler: "proxy", path, isBlocked: true };
    case "other":
      return proxy(path, request, parts);
  }
}

/** A role is only listed when its credentials may be had: a list that leads to 404 makes loops. */
async function listRole(
  { address, signal }: MetadataRequest,
  { table }: EndpointParts,
): Promise<MetadataAnswer> {
  const role = await table.role(address, signal);
  try {
    await table.credentials(address, role, signal);
  } catch (error) {
    const failure = AppError.from(error);
    if (httpStatus(failure.code) === 404) throw failure;
  }
  return textAnswer(200, role);
}

/** A new token, or why there is none; the same whatever else the answers look like. */
export function answerToken(
  { method, headers, address }: MetadataRequest,
  { tokens }: EndpointParts,
): MetadataAnswer {
  if (method !== "PUT") return textAnswer(405, "", { Allow: "PUT" });
  if (headers.get("x-forwarded-for") !== undefined) return textAnswer(403, "");
  const ttl = parseTtl(headers.get(TTL_HEADER));
  return ttl === undefined ? textAnswer(400, "") : tokenAnswer(tokens.issue(address, ttl), ttl);
}

function answerUnauthorized(
  { headers, address }: MetadataRequest,
  { tokens, requireImdsv2 }: EndpointParts,
): MetadataAnswer | undefined {
  const token = headers.get(TOKEN_HEADER);
  const isWelcome = token === undefined ? !requireImdsv2 : tokens.isValid(token, address);
  return isWelcome ? undefined : textAnswer(401, "");
}

/** Alive by itself; with `deep`, whether a server answers too, which is no reason to restart an agent. */
async function health(
  path: string,
  query: string,
  { signal }: MetadataRequest,
  { serverHealth }: EndpointParts,
): Promise<Answered> {
  try {
    const text = queryValue(query, "deep") ? await serverHealth(signal) : "ok";
    return { answer: textAnswer(200, text), handler: "health", path };
  } catch (error) {
    const failure = AppError.from(error);
    return { answer: textAnswer(500, failure.message), handler: "health", path, error: failure };
  }
}

async function proxy(
  path: string,
  { signal }: MetadataRequest,
  parts: EndpointParts,
): Promise<Answered> {
  if (isNeverAllowed(path) || !parts.allow(path)) {
    return { answer: textAnswer(404, ""), handler: "proxy", path, isBlocked: true };
  }
  return guard("proxy", path, parts, async () => {
    const { status, contentType, body } = await parts.upstream(path, signal);
    return textAnswer(status, body, { "Content-Type": contentType });
  });
}

async function guard(
  handler: HandlerLabel,
  path: string,
  { clock }: EndpointParts,
  answer: () => Promise<MetadataAnswer>,
): Promise<Answered> {
  try {
    return { answer: await answer(), handler, path };
  } catch (error) {
    const failure = AppError.from(error);
    const failed = failureAnswer(failure, httpStatus(failure.code), clock.now());
    return { answer: failed, handler, path, error: failure };
  }
}
