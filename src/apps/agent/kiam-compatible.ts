import { AppError } from "#core/errors.ts";
import type { MetadataAnswer } from "#core/imds/answers.ts";
import { isNeverAllowed } from "#core/imds/deny-list.ts";
import {
  isKiamFinal,
  kiamCleaned,
  kiamCredentials,
  kiamCredentialsFailure,
  kiamError,
  kiamRedirect,
  kiamRoleFailure,
  kiamText,
} from "#core/imds/kiam-answers.ts";
import { badEscape, cleanPath, decodeTarget, kiamRouteOf } from "#core/imds/path.ts";
import type { Answered } from "./aws-answers.ts";
import type { EndpointParts, HandlerLabel, MetadataRequest } from "./metadata-request.ts";

/** Kiam's retry: 5 ms, half as much more each time, until the next pause would end after 5 s. */
const LONGEST_MS = 5_000;
const FIRST_PAUSE_MS = 5;
const GROWTH = 1.5;

/** Answers with Kiam's codes, bodies, redirects and timing (specs: kiam.md §2). */
export async function answerAsKiam(
  request: MetadataRequest,
  parts: EndpointParts,
): Promise<Answered> {
  const decoded = decodeTarget(request.target);
  if (!decoded.ok) return { answer: kiamError(400, "Bad Request"), handler: undefined, path: "" };
  const { path, query } = decoded;
  const clean = cleanPath(path);
  if (clean !== path) return { answer: kiamCleaned(clean, query), handler: undefined, path };
  const route = kiamRouteOf(path);
  switch (route.to) {
    case "ping":
      return { answer: kiamText(200, "pong"), handler: undefined, path };
    case "health":
      return health(path, query, request, parts);
    case "redirect":
      return { answer: kiamRedirect(path, query), handler: undefined, path };
    case "role-list": {
      const bad = badEscape(query);
      if (bad !== undefined) {
        const answer = kiamError(500, `invalid URL escape ${JSON.stringify(bad)}`);
        return { answer, handler: "roleName", path };
      }
      return attempt("roleName", path, parts, request, kiamRoleFailure, async () =>
        kiamText(200, await parts.table.role(request.address, request.signal)),
      );
    }
    case "credentials":
      return attempt("credentials", path, parts, request, kiamCredentialsFailure, async () =>
        kiamCredentials(await parts.table.credentials(request.address, route.role, request.signal)),
      );
    default:
      return proxy(path, route.to === "token" && request.method === "PUT", request, parts);
  }
}

async function attempt(
  handler: HandlerLabel,
  path: string,
  { clock }: EndpointParts,
  { signal }: MetadataRequest,
  failed: (error: AppError) => MetadataAnswer,
  answer: () => Promise<MetadataAnswer>,
): Promise<Answered> {
  const until = clock.now() + LONGEST_MS;
  for (let pause = FIRST_PAUSE_MS; ; pause *= GROWTH) {
    try {
      return { answer: await answer(), handler, path };
    } catch (caught) {
      const error = AppError.from(caught);
      const isFinal = isKiamFinal(error) || (handler === "roleName" && error.code === "no_role");
      if (isFinal || signal.aborted || clock.now() + pause > until) {
        return { answer: failed(error), handler, path, error };
      }
    }
    await clock.sleep(pause, signal);
  }
}

async function health(
  path: string,
  query: string,
  { signal }: MetadataRequest,
  { serverHealth, upstream }: EndpointParts,
): Promise<Answered> {
  try {
    if (new URLSearchParams(query).get("deep")) await serverHealth(signal);
    const { body } = await upstream("/latest/meta-data/instance-id", signal);
    return { answer: kiamText(200, body), handler: "health", path };
  } catch (caught) {
    const error = AppError.from(caught);
    return { answer: kiamError(500, error.message), handler: "health", path, error };
  }
}

/** Only Kiam's token pass-through and allowed paths; the deny-list holds here as well. */
async function proxy(
  path: string,
  isToken: boolean,
  { address, headers, signal }: MetadataRequest,
  parts: EndpointParts,
): Promise<Answered> {
  if (isToken) {
    // A token of ours serves the clients that ask for one, and no pod reaches the node's service.
    const ttl = Number(headers["x-aws-ec2-metadata-token-ttl-seconds"] ?? 21_600);
    const token = parts.tokens.issue(address, Number.isFinite(ttl) ? ttl : 21_600);
    const answer = kiamText(200, token);
    const named = { "x-aws-ec2-metadata-token-ttl-seconds": String(ttl) };
    return {
      answer: { ...answer, headers: { ...answer.headers, ...named } },
      handler: "proxy",
      path,
    };
  }
  if (isNeverAllowed(path) || !parts.allow(path)) {
    const message = `request blocked by allow-route-regexp ${JSON.stringify(parts.allowSource)}: ${path}`;
    return { answer: kiamError(404, message), handler: "proxy", path, isBlocked: true };
  }
  try {
    const { status, contentType, body } = await parts.upstream(path, signal);
    const answer = { status, headers: { "Content-Type": contentType }, body };
    return { answer, handler: "proxy", path };
  } catch (caught) {
    const answer = { status: 502, headers: {}, body: "" };
    return { answer, handler: "proxy", path, error: AppError.from(caught) };
  }
}
