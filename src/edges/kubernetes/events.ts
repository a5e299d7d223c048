import type { Clock } from "#core/clock.ts";
import type { Pod } from "#core/pod/pod.ts";
import { readAll } from "./decoder.ts";
import { kubernetesFailure } from "./failure.ts";
import type { KubernetesConnection } from "./request.ts";

/** Something that a pod's owners should know. */
export interface PodEvent {
  readonly pod: Pod;
  readonly type: "Warning" | "Normal";
  /** A CamelCase word, at most 128 characters. */
  readonly reason: string;
  readonly message: string;
}

export interface EventWriterOptions {
  readonly connection: KubernetesConnection;
  /** Who says so, as `kiam.server`. */
  readonly component: string;
  /** Where it runs: the pod or node. */
  readonly host: string;
  readonly clock: Clock;
}

/** The API server takes no longer message. */
const MESSAGE_BYTES_MAX = 1_024;
const IDLE_MS = 10_000;
const ANSWER_BYTES_MAX = 1024 * 1024;
/** The API server adds a dot and five characters, and takes 253 in all. */
const NAME_LENGTH_MAX = 240;

/**
 * Writes core/v1 events on pods.
 *
 * @returns a function that throws {AppError} `kubernetes_unavailable` or `kubernetes_refused`.
 */
export function eventWriter(
  options: EventWriterOptions,
): (event: PodEvent, signal: AbortSignal) => Promise<void> {
  return async (event, signal) => {
    const namespace = encodeURIComponent(event.pod.namespace);
    using answer = await options.connection.request({
      method: "POST",
      path: `/api/v1/namespaces/${namespace}/events`,
      accept: "application/json",
      body: JSON.stringify(eventObject(event, options)),
      idleMs: IDLE_MS,
      signal,
    });
    const said = (await readAll(answer.body, ANSWER_BYTES_MAX)).toString("utf8");
    if (answer.status < 200 || answer.status > 299) {
      throw kubernetesFailure(
        answer.status,
        { verb: "create", resource: "events" },
        { retryAfterMs: answer.retryAfterMs, said },
      );
    }
  };
}

function eventObject({ pod, type, reason, message }: PodEvent, options: EventWriterOptions) {
  const { component, host, clock } = options;
  const at = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, "Z");
  const name = pod.name.slice(0, NAME_LENGTH_MAX).replace(/[-.]+$/, "");
  return {
    apiVersion: "v1",
    kind: "Event",
    metadata: { generateName: `${name}.`, namespace: pod.namespace },
    involvedObject: {
      apiVersion: "v1",
      kind: "Pod",
      namespace: pod.namespace,
      name: pod.name,
      uid: pod.uid,
      resourceVersion: pod.resourceVersion,
    },
    type,
    reason,
    message: shorten(message),
    source: { component, host },
    reportingComponent: component,
    reportingInstance: host,
    firstTimestamp: at,
    lastTimestamp: at,
    count: 1,
  };
}

/** Cut at a character's end, since half of one would be refused. */
function shorten(message: string): string {
  const bytes = Buffer.from(message, "utf8");
  if (bytes.length <= MESSAGE_BYTES_MAX) return message;
  return new TextDecoder().decode(bytes.subarray(0, MESSAGE_BYTES_MAX - 3), { stream: true }) + "…";
}
