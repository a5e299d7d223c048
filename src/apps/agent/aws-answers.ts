import { AppError } from "#core/errors.ts";
import {
  type MetadataAnswer,
  credentialsAnswer,
  failureAnswer,
  infoAnswer,
  textAnswer,
} from "#core/imds/answers.ts";
import type { KnownPod } from "#core/feed/node-table.ts";
import { isNeverAllowed } from "#core/imds/deny-list.ts";
import { queryValue, type Route } from "#core/imds/path.ts";
import { readTarget } from "#core/imds/target.ts";
import { httpStatus } from "#edges/http/status.ts";
import { answerToken, ifWelcome } from "./session-tokens.ts";
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
  const target = readTarget(request.target);
  if (!target.ok) {
    return { answer: textAnswer(404, ""), handler: "proxy", path: "", isBlocked: true };
  }
  const { path, query, route } = target;
  if (route.to === "ping") return { answer: textAnswer(200, "pong"), handler: undefined, path };
  if (route.to === "token") {
    return { answer: await answerToken(request, parts), handler: undefined, path };
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    const answer = textAnswer(405, "", { Allow: "GET, HEAD" });
    return { answer, handler: undefined, path };
  }
  if (route.to === "health") return health(path, query, request, parts);
  const given = await ifWelcome(request, parts, true, (pod) =>
    answerPod(route, path, pod, request, parts),
  );
  return given ?? { answer: textAnswer(401, ""), handler: undefined, path };
}

/** What is a pod's own, or its node's. */
function answerPod(
  route: Route,
  path: string,
  pod: KnownPod,
  request: MetadataRequest,
  parts: EndpointParts,
): Promise<Answered> {
  switch (route.to) {
    case "role-list":
      return guard("roleName", path, parts, async () =>
        textAnswer(200, await parts.table.listedRole(request.address, request)),
      );
    case "credentials":
      return guard("credentials", path, parts, () => giveCredentials(route, pod, request, parts));
    case "iam-info":
      return guard("roleName", path, parts, () => giveInfo(request, parts));
    default:
      return proxy(path, request, parts);
  }
}

async function giveCredentials(
  { role, isExtended }: { readonly role: string; readonly isExtended: boolean },
  pod: KnownPod,
  request: MetadataRequest,
  { table, podAt }: EndpointParts,
): Promise<MetadataAnswer> {
  const { address } = request;
  const credentials = await table.credentials(address, role, request, pod);
  return credentialsAnswer(credentials, isExtended ? (await podAt(address)).roleArn : undefined);
}

/** Only of a role whose credentials may be had, and never of the node's. */
async function giveInfo(
  request: MetadataRequest,
  { table, podAt }: EndpointParts,
): Promise<MetadataAnswer> {
  const { address } = request;
  const role = await table.role(address, request);
  const credentials = await table.credentials(address, role, request);
  const { roleArn } = await podAt(address);
  return roleArn === undefined ? textAnswer(404, "") : infoAnswer(roleArn, credentials);
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
  // A value has two spellings, and clients use both; an expression need only think of one.
  const isAllowed = parts.allow(path) || parts.allow(path.replace(/\/$/, ""));
  if (isNeverAllowed(path) || !isAllowed) {
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
