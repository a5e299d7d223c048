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
import { badEscape, cleanPath, decodeTarget, kiamRouteOf, queryValue } from "#core/imds/path.ts";
import type { Answered, MetadataEndpointOptions, MetadataRequest } from "./exchange.ts";
import { addressOf } from "./imds.ts";

/** Kiam's deadline for a request, and its pauses: 5 ms, half as much again each, spread by half. */
const DEADLINE_MS = 5_000;
const FIRST_PAUSE_MS = 5;
const GROWTH = 1.5;
const SPREAD = 0.5;

/** Answers with Kiam's codes, bodies and timing (specs/kiam.md §2), but never what leaks. */
export async function answerKiam(
  options: MetadataEndpointOptions,
  request: MetadataRequest,
): Promise<Answered> {
  const parsed = decodeTarget(request.target);
  if (!parsed.ok) return { answer: kiamText(400, "400 Bad Request") };
  const { path, query } = parsed;
  const clean = cleanPath(path);
  if (clean !== path) return { answer: kiamCleaned(clean, query) };
  const route = kiamRouteOf(path);
  switch (route.to) {
    case "ping":
      return { answer: kiamText(200, "pong") };
    case "health":
      return health(options, request, query);
    case "redirect":
      return { answer: kiamRedirect(path, query) };
    case "role-list":
    case "credentials": {
      const handler = route.to === "credentials" ? "credentials" : "roleName";
      const escape = badEscape(query);
      if (escape !== undefined) {
        const answer = kiamError(500, `invalid URL escape ${JSON.stringify(escape)}`);
        return { answer, handler, outcome: "error" };
      }
      const address = addressOf(options, request, query);
      return route.to === "credentials"
        ? credentials(options, address, route.role, request.signal)
        : roleList(options, address, request.signal);
    }
    default:
      return proxy(options, request, path);
  }
}

async function roleList(
  options: MetadataEndpointOptions,
  address: string,
  signal: AbortSignal,
): Promise<Answered> {
  try {
    const find = (): Promise<string> => options.table.role(address, signal);
    const role = await retried(options, signal, find, ({ code }) => code === "no_role");
    return { answer: kiamText(200, role), handler: "roleName", outcome: "success" };
  } catch (thrown) {
    const error = AppError.from(thrown);
    const outcome = error.code === "no_role" ? "empty_role" : "find_role_error";
    return { answer: kiamRoleFailure(error), handler: "roleName", outcome, code: error.code };
  }
}

async function credentials(
  options: MetadataEndpointOptions,
  address: string,
  role: string,
  signal: AbortSignal,
): Promise<Answered> {
  const handler = "credentials";
  try {
    const fetch = () => options.table.credentials(address, role, signal);
    const answer = kiamCredentials(await retried(options, signal, fetch, isKiamFinal));
    return { answer, handler, outcome: "success" };
  } catch (thrown) {
    const error = AppError.from(thrown);
    const outcome = "credential_fetch_error";
    return { answer: kiamCredentialsFailure(error), handler, outcome, code: error.code };
  }
}

/** Kiam's schedule: the last error, once the next pause would pass the deadline. */
async function retried<T>(
  { clock, random = Math.random }: MetadataEndpointOptions,
  signal: AbortSignal,
  attempt: () => Promise<T>,
  isFinal: (error: AppError) => boolean,
): Promise<T> {
  const deadline = clock.now() + DEADLINE_MS;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs *= GROWTH) {
    try {
      return await attempt();
    } catch (thrown) {
      const spreadMs = pauseMs * (1 - SPREAD + 2 * SPREAD * random());
      const isLast = signal.aborted || clock.now() + spreadMs > deadline;
      if (isLast || isFinal(AppError.from(thrown))) throw thrown;
      await clock.sleep(spreadMs, signal);
    }
  }
}

async function proxy(
  { allow, allowSource, upstream }: MetadataEndpointOptions,
  { method, ttl, isForwarded, signal }: MetadataRequest,
  path: string,
): Promise<Answered> {
  const isToken = method === "PUT" && /^\/[^/]+\/api\/token$/.test(path);
  if (isToken) {
    // The real service refuses what came through a proxy; said here, since headers don't go along.
    if (isForwarded) return { answer: kiamText(403, ""), handler: "proxy", outcome: "error" };
    return proxied(await upstream("/latest/api/token", signal, { ttlSeconds: ttl }));
  }
  const isRead = method === "GET" || method === "HEAD";
  if (!isRead || isNeverAllowed(path) || !allow(path)) {
    const refusal = `request blocked by allow-route-regexp ${JSON.stringify(allowSource)}: ${path}`;
    return { answer: kiamError(404, refusal), handler: "proxy", outcome: "blocked" };
  }
  return proxied(await upstream(path, signal));
}

function proxied(answer: MetadataAnswer): Answered {
  return { answer, handler: "proxy", outcome: answer.status < 400 ? "success" : "error" };
}

async function health(
  { serverHealth, upstream }: MetadataEndpointOptions,
  { signal }: MetadataRequest,
  query: string,
): Promise<Answered> {
  const failed = (message: string): Answered => ({
    answer: kiamError(500, message),
    handler: "health",
    outcome: "error",
  });
  if ((queryValue(query, "deep") ?? "") !== "") {
    const server = await serverHealth(signal).catch((error: unknown) => AppError.from(error));
    if (server instanceof AppError) return failed(server.message);
    if (server !== "ok") return failed(`server health: ${server}`);
  }
  const { status, body } = await upstream("/latest/meta-data/instance-id", signal);
  if (status === 502) return failed("couldn't read metadata response: no answer");
  return { answer: kiamText(200, body), handler: "health", outcome: "success" };
}
