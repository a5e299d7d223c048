import { AppError } from "#core/errors.ts";
import type { MetadataAnswer } from "#core/imds/answers.ts";
import { isNeverAllowed } from "#core/imds/deny-list.ts";
import {
  isForbidden,
  kiamCleaned,
  kiamCredentials,
  kiamCredentialsFailure,
  kiamError,
  kiamNodeUnhealthy,
  kiamRedirect,
  kiamRoleFailure,
  kiamServerUnhealthy,
  kiamText,
} from "#core/imds/kiam-answers.ts";
import {
  badEscape,
  cleanPath,
  decodeTarget,
  kiamRouteOf,
  queryValue,
  type Route,
} from "#core/imds/path.ts";
import type { Credentials } from "#core/session/credentials.ts";
import type { Answered } from "./aws-answers.ts";
import { answerToken, ifWelcome } from "./session-tokens.ts";
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
    case "token":
      if (request.method !== "PUT") return proxy(path, request, parts);
      // A token of ours serves clients as one of the node's would, and no pod reaches the node's service.
      return { answer: await answerToken(request, parts), handler: "proxy", path };
    default: {
      // Kiam looks at no token, so one that is not needed is not looked at either.
      const given = await ifWelcome(request, parts, false, () =>
        answerPod(route, { path, query }, request, parts),
      );
      return given ?? { answer: kiamError(401, "Unauthorized"), handler: undefined, path };
    }
  }
}

/** What is a pod's own, or its node's. */
async function answerPod(
  route: Route,
  { path, query }: { readonly path: string; readonly query: string },
  request: MetadataRequest,
  parts: EndpointParts,
): Promise<Answered> {
  switch (route.to) {
    case "role-list": {
      const bad = badEscape(query);
      if (bad !== undefined) {
        const answer = kiamError(500, `invalid URL escape ${JSON.stringify(bad)}`);
        return { answer, handler: "roleName", path };
      }
      const ask = (): Promise<string> => parts.table.role(request.address, request);
      return answered("roleName", path, kiamRoleFailure, async () =>
        kiamText(200, await patiently(request, parts, isFinalForRole, ask)),
      );
    }
    case "credentials": {
      const ask = (): Promise<Credentials> =>
        parts.table.credentials(request.address, route.role, request);
      return answered("credentials", path, kiamCredentialsFailure, async () =>
        kiamCredentials(await patiently(request, parts, isFinal, ask)),
      );
    }
    default:
      return proxy(path, request, parts);
  }
}

async function answered(
  handler: HandlerLabel,
  path: string,
  failed: (error: AppError) => MetadataAnswer,
  answer: () => Promise<MetadataAnswer>,
): Promise<Answered> {
  try {
    return { answer: await answer(), handler, path };
  } catch (caught) {
    const error = AppError.from(caught);
    return { answer: failed(error), handler, path, error };
  }
}

/** Asks again and again for as long as Kiam does. */
async function patiently<T>(
  { signal }: MetadataRequest,
  { clock }: EndpointParts,
  final: (error: AppError) => boolean,
  ask: () => Promise<T>,
): Promise<T> {
  const until = clock.now() + LONGEST_MS;
  for (let pause = FIRST_PAUSE_MS; ; pause *= GROWTH) {
    try {
      return await ask();
    } catch (caught) {
      const error = AppError.from(caught);
      if (final(error) || signal.aborted || clock.now() + pause > until) throw error;
    }
    await clock.sleep(pause, signal);
  }
}

/** Only policy is final to Kiam. What waits in a crowd already is not made to wait longer. */
function isFinal(error: AppError): boolean {
  return isForbidden(error) || error.code === "overloaded";
}

/** An annotation that is not there is an answer to "which role?", and an error to a role's request. */
function isFinalForRole(error: AppError): boolean {
  return error.code === "no_role" || isFinal(error);
}

/** `deep` asks a server first; then the node's own metadata must be readable. */
async function health(
  path: string,
  query: string,
  request: MetadataRequest,
  parts: EndpointParts,
): Promise<Answered> {
  const { signal } = request;
  if (queryValue(query, "deep")) {
    const ask = (): Promise<string> => parts.serverHealth(signal);
    const server = await answered("health", path, kiamServerUnhealthy, async () =>
      kiamText(200, await patiently(request, parts, isFinal, ask)),
    );
    if (server.error !== undefined) return server;
  }
  return answered("health", path, kiamNodeUnhealthy, async () =>
    kiamText(200, (await parts.upstream("/latest/meta-data/instance-id", signal)).body),
  );
}

/** Only allowed paths; the deny-list holds here as well. */
async function proxy(
  path: string,
  request: MetadataRequest,
  parts: EndpointParts,
): Promise<Answered> {
  if (isNeverAllowed(path) || !parts.allow(path)) {
    const message = `request blocked by allow-route-regexp ${JSON.stringify(parts.allowSource)}: ${path}`;
    return { answer: kiamError(404, message), handler: "proxy", path, isBlocked: true };
  }
  try {
    const { status, contentType, body } = await parts.upstream(path, request.signal);
    const answer = { status, headers: { "Content-Type": contentType }, body };
    return { answer, handler: "proxy", path };
  } catch (caught) {
    const answer = { status: 502, headers: {}, body: "" };
    return { answer, handler: "proxy", path, error: AppError.from(caught) };
  }
}
