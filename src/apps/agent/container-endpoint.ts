import {
  containerCredentials,
  containerFailure,
  tokenOf,
} from "#core/container/container-answers.ts";
import { AppError } from "#core/errors.ts";
import type { FedPod } from "#core/feed/fed-pod.ts";
import type { NodeTable } from "#core/feed/node-table.ts";
import type { PodTable } from "#core/feed/pod-table.ts";
import { normalizeAddress } from "#core/pod/address.ts";
import type { PodTokens } from "#core/token/pod-tokens.ts";
import type { HttpAnswer, HttpHandler, HttpRequest } from "#edges/http/http-message.ts";
import { containerStatus } from "#edges/http/status.ts";

/** What a request for container credentials came to, for logs and metrics. */
export interface ContainerAnsweredEvent {
  readonly method: string;
  readonly address: string;
  /** Whose token it was, once that is proved. */
  readonly pod: FedPod | undefined;
  readonly status: number;
  readonly ms: number;
  /** Why it is no success; undefined when it is one. */
  readonly error: AppError | undefined;
}

export interface ContainerEndpointParts {
  readonly tokens: PodTokens;
  readonly table: Pick<NodeTable, "credentialsOf">;
  readonly pods: Pick<PodTable, "at" | "byUid">;
  readonly observe: (event: ContainerAnsweredEvent) => void;
}

/**
 * `AWS_CONTAINER_CREDENTIALS_FULL_URI`: the pod is who its projected token says, wherever the request
 * came from (specs: aws-clients.md §4, pod-identity.md §2).
 */
export function containerEndpoint(parts: ContainerEndpointParts): HttpHandler {
  return async (request) => {
    const started = performance.now();
    const address = normalizeAddress(request.remoteAddress);
    const { answer, pod, error } = await answered(request, address, parts);
    if (request.isGone) return answer;
    const ms = performance.now() - started;
    const { method } = request;
    parts.observe({ method, address, pod, status: answer.status, ms, error });
    return answer;
  };
}

interface Answered {
  readonly answer: HttpAnswer;
  readonly pod?: FedPod | undefined;
  readonly error?: AppError;
}

async function answered(
  request: HttpRequest,
  address: string,
  parts: ContainerEndpointParts,
): Promise<Answered> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return { answer: { status: 405, headers: { Allow: "GET, HEAD" }, body: "" } };
  }
  let pod: FedPod | undefined;
  try {
    const token = tokenOf(request.headers.get("authorization"));
    if (token === undefined) throw new AppError("token_invalid", "The request carries no token.");
    const uid = parts.tokens.podUid(token);
    pod = parts.pods.byUid(uid);
    const given = await parts.table.credentialsOf(uid, request);
    pod = given.pod;
    refuseAnothers(pod, address, parts.pods);
    return { answer: containerCredentials(given), pod };
  } catch (caught) {
    const error = AppError.from(caught);
    return { answer: containerFailure(error, containerStatus(error.code)), pod, error };
  }
}

/**
 * A token proves whose it is, and not who sends it: one that comes from the own address of a pod that is
 * known to be another one was taken from its pod, or the address has just changed hands.
 */
function refuseAnothers(pod: FedPod, address: string, pods: Pick<PodTable, "at">): void {
  if (pod.addresses.length === 0 || pod.addresses.includes(address)) return;
  if (pods.at(address).every(({ hostNetwork }) => hostNetwork)) return;
  throw new AppError(
    "pod_ambiguous",
    "The token is of another pod than the address that it came from.",
  );
}
