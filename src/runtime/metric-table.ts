/** One metric's declaration. */
export interface MetricDeclaration {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds of a histogram, in its unit. */
  readonly buckets?: readonly number[];
}

/** Kiam's: 1 ms doubled twelve times. In seconds. */
const LATENCY_BUCKETS = Array.from({ length: 13 }, (_, power) => 0.001 * 2 ** power);

const CALL_LABELS = ["grpc_type", "grpc_service", "grpc_method"] as const;
const HANDLED_LABELS = [...CALL_LABELS, "grpc_code"] as const;

/** Kiam's families under their exact names and labels (specs: kiam.md §7.1). */
const KIAM_METRICS = {
  kiam_metadata_handler_latency_seconds: {
    type: "histogram",
    help: "Time to answer a pod's request.",
    labels: ["handler"],
    buckets: LATENCY_BUCKETS,
  },
  kiam_metadata_responses_total: {
    type: "counter",
    help: "Answers to pods, by status.",
    labels: ["handler", "code"],
  },
  kiam_metadata_success_total: {
    type: "counter",
    help: "Answers to pods with status 200.",
    labels: ["handler"],
  },
  kiam_metadata_credential_fetch_errors_total: {
    type: "counter",
    help: "Credentials that could not be given, refusals included.",
    labels: ["handler"],
  },
  kiam_metadata_credential_encode_errors_total: {
    type: "counter",
    help: "Credentials that could not be written as an answer.",
    labels: ["handler"],
  },
  kiam_metadata_find_role_errors_total: {
    type: "counter",
    help: "Roles that could not be found for the asking pod.",
    labels: ["handler"],
  },
  kiam_metadata_empty_role_total: {
    type: "counter",
    help: "Requests of pods that name no role.",
    labels: ["handler"],
  },
  kiam_metadata_proxy_requests_blocked_total: {
    type: "counter",
    help: "Requests for metadata paths that are not allowed.",
    labels: [],
  },
  kiam_sts_cacheSize: { type: "gauge", help: "Sessions that are held.", labels: [] },
  kiam_sts_cache_hit_total: {
    type: "counter",
    help: "Credentials served from a session that was held.",
    labels: [],
  },
  kiam_sts_cache_miss_total: {
    type: "counter",
    help: "Credentials for which STS had to be asked.",
    labels: [],
  },
  kiam_sts_issuing_errors_total: {
    type: "counter",
    help: "Calls to STS that failed.",
    labels: [],
  },
  kiam_sts_assumerole_timing_seconds: {
    type: "histogram",
    help: "Time that AssumeRole took.",
    labels: [],
    buckets: LATENCY_BUCKETS,
  },
  kiam_sts_assumerole_current: {
    type: "gauge",
    help: "AssumeRole calls that are running.",
    labels: [],
  },
  kiam_k8s_dropped_pods_total: {
    type: "counter",
    help: "Pods that were not prefetched because too many waited.",
    labels: [],
  },
} as const satisfies Record<string, MetricDeclaration>;

/** The families of Kiam's gRPC library, of its certificates and of its metrics listener. */
const LIBRARY_METRICS = {
  grpc_client_tls_certificate_update_error: {
    type: "gauge",
    help: "1 while the agent's new certificate files can't be used.",
    labels: [],
  },
  grpc_client_tls_certificate_verify_error: {
    type: "gauge",
    help: "1 while the agent's certificate isn't signed by its CA, or not valid now.",
    labels: [],
  },
  grpc_client_tls_certificate_expiry_seconds: {
    type: "gauge",
    help: "Earliest end in the agent's certificate chain, seconds since the Unix epoch.",
    labels: [],
  },
  grpc_server_tls_certificate_update_error: {
    type: "gauge",
    help: "1 while the server's new certificate files can't be used.",
    labels: [],
  },
  grpc_server_tls_certificate_verify_error: {
    type: "gauge",
    help: "1 while the server's certificate isn't signed by its CA, or not valid now.",
    labels: [],
  },
  grpc_server_tls_certificate_expiry_seconds: {
    type: "gauge",
    help: "Earliest end in the server's certificate chain, seconds since the Unix epoch.",
    labels: [],
  },
  grpc_client_started_total: {
    type: "counter",
    help: "Calls that the agent began.",
    labels: CALL_LABELS,
  },
  grpc_client_handled_total: {
    type: "counter",
    help: "Calls of the agent that ended, by status.",
    labels: HANDLED_LABELS,
  },
  grpc_client_msg_received_total: {
    type: "counter",
    help: "Messages that the agent received.",
    labels: CALL_LABELS,
  },
  grpc_client_msg_sent_total: {
    type: "counter",
    help: "Messages that the agent sent.",
    labels: CALL_LABELS,
  },
  grpc_server_started_total: {
    type: "counter",
    help: "Calls that the server took.",
    labels: CALL_LABELS,
  },
  grpc_server_handled_total: {
    type: "counter",
    help: "Calls of the server that ended, by status.",
    labels: HANDLED_LABELS,
  },
  grpc_server_msg_received_total: {
    type: "counter",
    help: "Messages that the server received.",
    labels: CALL_LABELS,
  },
  grpc_server_msg_sent_total: {
    type: "counter",
    help: "Messages that the server sent.",
    labels: CALL_LABELS,
  },
  promhttp_metric_handler_requests_total: {
    type: "counter",
    help: "Scrapes, by status.",
    labels: ["code"],
  },
  promhttp_metric_handler_requests_in_flight: {
    type: "gauge",
    help: "Scrapes that are being served.",
    labels: [],
  },
} as const satisfies Record<string, MetricDeclaration>;

/** What every Prometheus client tells of its process. */
const PROCESS_METRICS = {
  process_cpu_seconds_total: {
    type: "counter",
    help: "Processor time that was used, in seconds.",
    labels: [],
  },
  process_resident_memory_bytes: { type: "gauge", help: "Resident memory.", labels: [] },
  process_virtual_memory_bytes: { type: "gauge", help: "Virtual memory.", labels: [] },
  process_open_fds: { type: "gauge", help: "Open file descriptors.", labels: [] },
  process_max_fds: { type: "gauge", help: "File descriptors that may be open.", labels: [] },
  process_start_time_seconds: {
    type: "gauge",
    help: "When the process started, seconds since the Unix epoch.",
    labels: [],
  },
} as const satisfies Record<string, MetricDeclaration>;

/** Rolecall's own. */
const ROLECALL_METRICS = {
  rolecall_build_info: {
    type: "gauge",
    help: "1, with the version of Rolecall and of its runtime.",
    labels: ["version", "runtime"],
  },
  rolecall_ready: { type: "gauge", help: "1 while the process is ready.", labels: [] },
  rolecall_watch_breaks_total: {
    type: "counter",
    help: "Kubernetes watches that broke and were taken up again.",
    labels: ["resource"],
  },
  rolecall_watch_last_event_seconds: {
    type: "gauge",
    help: "When the API server last said something on a watch, seconds since the Unix epoch.",
    labels: ["resource"],
  },
  rolecall_watch_objects_skipped_total: {
    type: "counter",
    help: "Kubernetes objects that could not be read.",
    labels: ["resource"],
  },
  rolecall_pods: { type: "gauge", help: "Pods that are known.", labels: [] },
  rolecall_namespaces: { type: "gauge", help: "Namespaces that are known.", labels: [] },
  rolecall_sessions: {
    type: "gauge",
    help: "Sessions, by state: live, fetching, failed.",
    labels: ["state"],
  },
  rolecall_refusals_total: {
    type: "counter",
    help: "Refusals by error code: requests that came to the server, and pods of which an agent was told.",
    labels: ["code"],
  },
  rolecall_prefetch_waiting: {
    type: "gauge",
    help: "Sessions that wait to be fetched ahead.",
    labels: [],
  },
  rolecall_sts_failures_total: {
    type: "counter",
    help: "Calls to STS that failed, by error code.",
    labels: ["code"],
  },
  rolecall_renewals_total: {
    type: "counter",
    help: "Sessions renewed ahead of their end, by outcome: renewed, failed.",
    labels: ["outcome"],
  },
  rolecall_tls_handshakes_refused_total: {
    type: "counter",
    help: "TLS handshakes of agents that were refused.",
    labels: [],
  },
  rolecall_interception_repairs_total: {
    type: "counter",
    help: "Times the interception rules were gone or changed, and were restored.",
    labels: [],
  },
  rolecall_interception_errors_total: {
    type: "counter",
    help: "Times the interception rules could not be checked, added or removed.",
    labels: [],
  },
  rolecall_feed_agents: {
    type: "gauge",
    help: "Streams of node feeds that are open at the server.",
    labels: [],
  },
  rolecall_feed_streams_total: {
    type: "counter",
    help: "Node feeds that agents began to follow at the server, by what they got: snapshot, resumed (only what had changed).",
    labels: ["from"],
  },
  rolecall_feed_in_sync: {
    type: "gauge",
    help: "1 while the agent follows its node at a server, 0 while it is looking for one or asks instead.",
    labels: [],
  },
  rolecall_feed_moves_total: {
    type: "counter",
    help: "Times the agent came to be in sync at a server, the first one counted.",
    labels: [],
  },
  rolecall_feed_losses_total: {
    type: "counter",
    help: "Times a feed that the agent followed ended or fell silent.",
    labels: [],
  },
  rolecall_feed_resyncs_total: {
    type: "counter",
    help: "Agents that took so long to read that they got a snapshot anew.",
    labels: [],
  },
  rolecall_container_responses_total: {
    type: "counter",
    help: "Answers of the container credentials endpoint, by status and error code.",
    labels: ["code", "reason"],
  },
  rolecall_container_latency_seconds: {
    type: "histogram",
    help: "Time to answer a request for container credentials with them.",
    labels: [],
    buckets: LATENCY_BUCKETS,
  },
  rolecall_node_table_answers_total: {
    type: "counter",
    help: "Answers of the agent by source: memory, server (it was asked), held (servers were away).",
    labels: ["source"],
  },
  rolecall_address_disputes_total: {
    type: "counter",
    help: "Times two did not agree on whose an address is, and its requests were refused: records (of the node), record-and-kernel, server-and-record, server-and-kernel.",
    labels: ["between"],
  },
  rolecall_http_refused_total: {
    type: "counter",
    help: "What clients wanted beyond their share, by limit: connections, requests (a second), waiting (requests), bytes (that are not read yet).",
    labels: ["limit"],
  },
  rolecall_server_unavailable_total: {
    type: "counter",
    help: "Times no server answered the agent in time.",
    labels: [],
  },
  rolecall_events_dropped_total: {
    type: "counter",
    help: "Kubernetes events that were not written: too many, or the API server refused.",
    labels: [],
  },
} as const satisfies Record<string, MetricDeclaration>;

/**
 * Every metric that a process exposes. `docs/reference/metrics.md` is generated from this table.
 */
export const METRICS = {
  ...KIAM_METRICS,
  ...LIBRARY_METRICS,
  ...PROCESS_METRICS,
  ...ROLECALL_METRICS,
} as const;

/** The closed set of metrics. */
export type MetricName = keyof typeof METRICS;
