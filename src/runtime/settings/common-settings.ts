import type { SettingsTable } from "./setting.ts";

/** Every process logs. */
export const LOG_SETTINGS = {
  "json-log": {
    kind: "boolean",
    section: "Logs",
    help: "Write log lines as JSON instead of text.",
  },
  level: {
    kind: "enum",
    values: ["debug", "info", "warn", "error"],
    default: "info",
    section: "Logs",
    help: "The least severe level that is logged.",
  },
} as const satisfies SettingsTable;

/** Agent, server and health prove themselves to their peers (specs: kiam.md §1.1). */
export const COMMON_SETTINGS = {
  ...LOG_SETTINGS,
  cert: {
    kind: "file",
    required: true,
    section: "TLS",
    help: "PEM file with this process's certificate and its chain.",
  },
  key: {
    kind: "file",
    required: true,
    section: "TLS",
    help: "PEM file with the private key of --cert.",
  },
  ca: {
    kind: "file",
    required: true,
    section: "TLS",
    help: "PEM file with the CA certificates that the peer is verified with; may hold several.",
  },
} as const satisfies SettingsTable;

/** What agent and server show of themselves (specs: kiam.md §1.2). */
export const TELEMETRY_SETTINGS = {
  "prometheus-listen-addr": {
    kind: "address",
    section: "Telemetry",
    help: "Address that serves /metrics, /livez and /readyz, e.g. 0.0.0.0:9620. Off when absent.",
  },
  "prometheus-sync-interval": {
    kind: "duration",
    default: "5s",
    section: "Telemetry",
    help: "Accepted from Kiam's configurations.",
    ignored: "metrics are always current",
  },
  "pprof-listen-addr": {
    kind: "address",
    section: "Telemetry",
    help:
      "Address that serves CPU profiles and, on a loopback address only, heap snapshots under " +
      "/debug/pprof/. Off when absent.",
  },
  statsd: {
    kind: "string",
    default: "",
    section: "Telemetry",
    help: "Accepted from configurations of Kiam v3.",
    ignored: "StatsD was removed in Kiam v4; use --prometheus-listen-addr",
  },
  "statsd-prefix": {
    kind: "string",
    default: "kiam",
    section: "Telemetry",
    help: "Accepted from configurations of Kiam v3.",
    ignored: "StatsD was removed in Kiam v4",
  },
  "statsd-interval": {
    kind: "duration",
    default: "100ms",
    section: "Telemetry",
    help: "Accepted from configurations of Kiam v3.",
    ignored: "StatsD was removed in Kiam v4",
  },
} as const satisfies SettingsTable;

/** How agent and health reach the servers (specs: kiam.md §1.3). */
export const SERVER_CLIENT_SETTINGS = {
  "server-address": {
    kind: "address",
    default: "localhost:9610",
    section: "Servers",
    help: "Host and port of the servers; each address of the host is one server, and the host is what their certificates must name.",
  },
  "server-address-refresh": {
    kind: "duration",
    default: "0s",
    section: "Servers",
    help: "Accepted from Kiam's configurations.",
    ignored: "the host is looked up again by itself",
  },
  "gateway-timeout-creation": {
    kind: "duration",
    default: "1s",
    min: 1,
    max: 60_000,
    section: "Servers",
    help: "How long connecting to one server may take.",
  },
  "grpc-keepalive-time-duration": {
    kind: "duration",
    default: "10s",
    min: 100,
    max: 3_600_000,
    aliases: ["grpc-keepalive-time-ms"],
    section: "Servers",
    help: "How long a connection may be silent before it is pinged.",
  },
  "grpc-keepalive-timeout-duration": {
    kind: "duration",
    default: "2s",
    min: 50,
    max: 60_000,
    aliases: ["grpc-keepalive-timeout-ms"],
    section: "Servers",
    help: "How long the answer to a ping may take before the connection counts as dead.",
  },
  "grpc-keepalive-permit-without-stream": {
    kind: "boolean",
    section: "Servers",
    help: "Ping also while no call is in flight; Kiam's servers close such connections.",
  },
} as const satisfies SettingsTable;
