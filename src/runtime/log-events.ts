/** How much an event matters: `error` = somebody must act; `warn` = it recovered, but look. */
export type Level = "debug" | "info" | "warn" | "error";

/** One event's declaration. The message is constant; what varies is in the fields. */
export interface LogEvent {
  readonly level: Level;
  readonly message: string;
  readonly help: string;
}

/**
 * Every event that a process logs. Messages are Kiam's where Kiam has one (specs: kiam.md §7.2).
 * `docs/reference/log-events.md` is generated from this table.
 */
export const LOG_EVENTS = {
  // Processes
  starting_server: { level: "info", message: "starting server", help: "A server starts." },
  starting_agent: { level: "info", message: "starting agent", help: "An agent starts." },
  listening: { level: "info", message: "listening", help: "A port answers." },
  settings_warning: {
    level: "warn",
    message: "a setting needs attention",
    help: "A flag is old, has no effect, or has a value that will hurt.",
  },
  log_lines_left_out: {
    level: "warn",
    message: "log lines were left out",
    help: "Whoever reads the log stood still, so that lines found no room. The process does not wait for it.",
  },
  signal_received: {
    level: "info",
    message: "received signal, stopping",
    help: "The process was told to stop.",
  },
  stopped: { level: "info", message: "stopped", help: "The process ends as it was told to." },
  fatal: {
    level: "error",
    message: "fatal error",
    help: "The process ends because it can't go on.",
  },
  unexpected_error: {
    level: "error",
    message: "unexpected error",
    help: "A bug in Rolecall; the work at hand was given up, the process goes on.",
  },
  readiness_changed: {
    level: "info",
    message: "readiness changed",
    help: "The process became ready, or no longer is; `reasons` says why.",
  },
  healthy: { level: "info", message: "healthy: ok", help: "`health` got its answer." },
  health_check_failed: {
    level: "warn",
    message: "error checking health",
    help: "One try of `health` failed; it goes on until its time is over.",
  },
  telemetry_listening: {
    level: "info",
    message: "started prometheus metric listener",
    help: "/metrics, /livez and /readyz answer.",
  },
  pprof_listening: {
    level: "info",
    message: "pprof listen address specified, will listen",
    help: "/debug/pprof/ answers.",
  },

  // Requests of pods
  request_processed: {
    level: "debug",
    message: "processed request",
    help: "A pod's request was answered with a status under 400.",
  },
  request_failed: {
    level: "info",
    message: "processed request",
    help: "A pod's request was answered with a status of 400 or more.",
  },
  request_error: {
    level: "error",
    message: "error processing request",
    help: "A pod's request could not be answered as asked.",
  },
  find_role_failed: {
    level: "warn",
    message: "error finding role for pod",
    help: "The role of the pod at an address could not be found.",
  },
  proxy_blocked: {
    level: "info",
    message: "request blocked by allow-route-regexp",
    help: "A pod asked for a metadata path that is not allowed.",
  },

  // Decisions
  role_found: { level: "debug", message: "found role", help: "A pod's role was looked up." },
  pod_not_found: {
    level: "info",
    message: "error finding pod",
    help: "No live pod, or more than one, is known at an address.",
  },
  pod_denied: {
    level: "warn",
    message: "pod denied by policy",
    help: "A pod may not have the role that it names; `reason` says why.",
  },
  address_disputed: {
    level: "warn",
    message: "address is disputed, refusing",
    help: "The node's records, its kernel and the server don't agree on whose an address is. A server says it of each pod that an agent reports.",
  },

  // Sessions
  credentials_requested: {
    level: "info",
    message: "requested new credentials",
    help: "STS is asked for a session, and issued it.",
  },
  credentials_fetched: {
    level: "debug",
    message: "fetched credentials",
    help: "A session was fetched ahead of the first request.",
  },
  credentials_renewed: {
    level: "info",
    message: "renewed credentials",
    help: "A session was renewed before its end.",
  },
  credentials_failed: {
    level: "error",
    message: "error requesting credentials",
    help: "STS did not issue a session; `code` tells whether it was refused.",
  },
  credentials_held: {
    level: "warn",
    message: "STS cannot be reached, serving held credentials until they expire",
    help: "A session could not be renewed; what is held goes on being served while it lives.",
  },
  sts_throttled: {
    level: "warn",
    message: "STS asks for fewer calls",
    help: "Calls to STS are paused for a while.",
  },
  session_dropped: {
    level: "info",
    message: "role no longer active",
    help: "No live pod needs a session any more.",
  },
  prefetch_dropped: {
    level: "warn",
    message: "pods announcement full, dropping",
    help: "Too many sessions wait to be fetched ahead; this one is fetched when it is asked for.",
  },
  identity_found: {
    level: "info",
    message: "found own AWS identity",
    help: "The server knows who it is to AWS.",
  },
  identity_failed: {
    level: "error",
    message: "error finding own AWS identity",
    help: "The server can't find out who it is to AWS, and tries again.",
  },
  base_arn_detected: {
    level: "info",
    message: "using detected prefix",
    help: "Roles that are not ARNs get this prefix.",
  },

  // Kubernetes
  watch_synced: {
    level: "info",
    message: "watch is in step",
    help: "A collection was listed whole and is now followed.",
  },
  watch_broke: {
    level: "warn",
    message: "watch broke",
    help: "Following a collection stopped and is taken up again; what is known is kept.",
  },
  watch_object_skipped: {
    level: "warn",
    message: "object cannot be read, skipped",
    help: "The API server sent an object without the fields that make it one.",
  },
  issuer_changed: {
    level: "info",
    message: "keys of service account tokens changed",
    help: "The API server publishes other keys than before; agents get them at once.",
  },
  issuer_failed: {
    level: "warn",
    message: "error getting keys of service account tokens",
    help: "The API server does not publish its keys; those before stay in use. Said once until it does.",
  },
  kubernetes_event_failed: {
    level: "warn",
    message: "error writing Kubernetes event",
    help: "An event on a pod could not be written; nothing else suffers.",
  },

  // Servers and agents
  rpc_failed: {
    level: "warn",
    message: "call failed",
    help: "An agent's call was answered with an error.",
  },
  rpc_handshake_refused: {
    level: "warn",
    message: "TLS handshake refused",
    help: "A peer could not prove itself, or did not speak TLS.",
  },
  server_unreachable: {
    level: "warn",
    message: "server cannot be reached",
    help: "One server does not answer; others are asked.",
  },
  server_reachable: {
    level: "info",
    message: "server can be reached",
    help: "A server answers, for the first time or again.",
  },
  feed_followed: {
    level: "info",
    message: "agent follows its node",
    help: "An agent opened its node's feed at this server; `from` says whether it was told everything or only what had changed.",
  },
  feed_left: {
    level: "info",
    message: "agent left",
    help: "An agent's node feed ended at this server.",
  },
  feed_resynced: {
    level: "warn",
    message: "agent was too slow and starts over",
    help: "An agent read so slowly that it gets a snapshot instead of all that it missed.",
  },
  feed_in_sync: {
    level: "info",
    message: "follows its node at a server",
    help: "The agent is told of its node's pods by this server, and knows all of them.",
  },
  feed_lost: {
    level: "warn",
    message: "lost its node's feed",
    help: "A server's feed ended or fell silent; what is held goes on being served, and another server is followed.",
  },
  feed_failed: {
    level: "info",
    message: "cannot follow its node at a server",
    help: "A server is not ready, or ended the feed before it was in sync; another one is tried. Said once for each connection.",
  },
  feed_draining: {
    level: "info",
    message: "server asks to be left",
    help: "A server is about to stop; the agent stays until another one's feed is in sync.",
  },
  feed_unoffered: {
    level: "info",
    message: "servers have no node feed",
    help: "They are Kiam's, or older than the feed: the agent asks them about each pod instead.",
  },
  tls_reloaded: {
    level: "info",
    message: "TLS certificate updated",
    help: "New certificate files are in use.",
  },
  tls_update_failed: {
    level: "error",
    message: "failed to update TLS certificate",
    help: "New certificate files can't be used; those before stay in use.",
  },
  tls_verify_failed: {
    level: "error",
    message: "failed to verify TLS certificate",
    help: "The own certificate isn't signed by --ca, or not valid now.",
  },
  tls_expiring: {
    level: "warn",
    message: "TLS certificate expires soon",
    help: "The own certificate or one of its chain must be replaced.",
  },

  // Interception
  interception_added: {
    level: "info",
    message: "interception rules were added",
    help: "Pods' metadata traffic now reaches the agent.",
  },
  interception_present: {
    level: "info",
    message: "interception rules are there",
    help: "An agent before this one left rules in place; this one's replace them once it answers.",
  },
  interception_restored: {
    level: "warn",
    message: "interception rules were gone and were restored",
    help: "Something else removed or changed the rules; pods could reach the node's role meanwhile.",
  },
  interception_failed: {
    level: "error",
    message: "error configuring interception",
    help: "The rules can't be checked, added or removed.",
  },
  interception_bridges_open: {
    level: "warn",
    message: "interception does not look into bridges",
    help:
      "The kernel has no nftables for bridges. Only pods on a bridge that the node's uplink is a port of, " +
      "on a node without br_netfilter, could reach the node's role.",
  },
  interception_unwatched: {
    level: "warn",
    message: "the kernel does not tell of removed rules",
    help: "`nft monitor` ended and is started again; until then rules are looked at every few seconds.",
  },
  interception_proved: {
    level: "info",
    message: "the self-test of interception has passed",
    help: "What was asked from a network namespace, as a pod asks, came to this agent. `duration` is in milliseconds.",
  },
  interception_unproved: {
    level: "error",
    message: "the self-test of interception has failed",
    help:
      "What a pod asks does not come to this agent, which is not ready until it does. The reason says what came of it at " +
      "each address; look at --host, --host-interface and --port, and at what else is in `nft list ruleset`.",
  },
  interception_unprovable: {
    level: "warn",
    message: "the self-test of interception was skipped",
    help: "It is not possible here; the reason says why. The agent becomes ready without it.",
  },
  interception_removed: {
    level: "info",
    message: "interception rules were removed",
    help: "As it was asked for: pods now reach the node's own role.",
  },
  interception_kept: {
    level: "info",
    message: "interception rules are kept",
    help: "Pods' metadata traffic fails until an agent runs again.",
  },
} as const satisfies Record<string, LogEvent>;

/** The closed set of events. */
export type LogEventName = keyof typeof LOG_EVENTS;
