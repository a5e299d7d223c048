import { COMMON_SETTINGS, TELEMETRY_SETTINGS } from "#runtime/settings/common-settings.ts";
import type { SettingsOf, SettingsTable } from "#runtime/settings/setting.ts";

const HOUR_MS = 3_600_000;

/** Every setting of `rolecall server` (Kiam's: specs/kiam.md §1.5). */
export const SERVER_SETTINGS = {
  ...COMMON_SETTINGS,
  ...TELEMETRY_SETTINGS,
  bind: {
    kind: "address",
    default: "localhost:9610",
    section: "Agents",
    help: "Address that agents connect to.",
  },
  "grpc-keepalive-time-duration": {
    kind: "duration",
    default: "10s",
    min: 100,
    max: HOUR_MS,
    aliases: ["grpc-keepalive-time-ms"],
    section: "Agents",
    help: "How long an agent's connection may be silent before it is pinged.",
  },
  "grpc-keepalive-timeout-duration": {
    kind: "duration",
    default: "2s",
    min: 50,
    max: 60_000,
    aliases: ["grpc-keepalive-timeout-ms"],
    section: "Agents",
    help: "How long the answer to a ping may take before the connection counts as dead.",
  },
  "grpc-max-connection-idle-duration": {
    kind: "duration",
    default: "15m",
    min: 1_000,
    section: "Agents",
    help: "How long a connection without calls is kept.",
  },
  "grpc-max-connection-age-duration": {
    kind: "duration",
    default: "15m",
    min: 1_000,
    section: "Agents",
    help: "After how long, give or take a tenth, an agent is asked to connect anew.",
  },
  "grpc-max-connection-age-grace-duration": {
    kind: "duration",
    default: "15m",
    min: 0,
    section: "Agents",
    help: "How long such a connection's calls may take to end.",
  },
  kubeconfig: {
    kind: "string",
    default: "",
    section: "Kubernetes",
    help: "Path of a kubeconfig file. Empty: the pod's own service account.",
  },
  sync: {
    kind: "duration",
    default: "1m",
    section: "Kubernetes",
    help: "Accepted from Kiam's configurations.",
    ignored: "watches repair themselves, there is nothing to resynchronise",
  },
  events: {
    kind: "boolean",
    default: "true",
    section: "Kubernetes",
    help: "Write a Kubernetes event on a pod that is refused, or whose role can't be assumed.",
  },
  "container-token-audience": {
    kind: "list",
    default: "rolecall,pods.eks.amazonaws.com",
    section: "Kubernetes",
    help:
      "Audiences, separated by commas: a pod's service account token must be meant for one of them to get " +
      "credentials from the container credentials endpoint. Empty: no token does.",
  },
  fetchers: {
    kind: "integer",
    default: "8",
    min: 1,
    max: 256,
    section: "Sessions",
    help: "How many calls to STS run at once.",
  },
  "prefetch-buffer-size": {
    kind: "integer",
    default: "1000",
    min: 1,
    max: 1_000_000,
    section: "Sessions",
    help: "How many sessions may wait to be fetched ahead; more are fetched when they are asked for.",
  },
  session: {
    kind: "string",
    default: "kiam",
    section: "Sessions",
    help: "First part of the session names of pods that choose none.",
  },
  "session-duration": {
    kind: "duration",
    default: "60m",
    section: "Sessions",
    help: "How long a session lives: 15m to 12h, and at most 1h where roles are chained.",
  },
  "session-refresh": {
    kind: "duration",
    section: "Sessions",
    help: "How long before its end a session is renewed. Half of --session-duration when absent.",
  },
  "role-base-arn": {
    kind: "string",
    default: "",
    section: "Roles",
    help: "Put before roles that are not ARNs, e.g. arn:aws:iam::123456789012:role/. Found from the server's own identity when absent.",
  },
  "role-base-arn-autodetect": {
    kind: "boolean",
    section: "Roles",
    help: "Find the base ARN from the server's own identity, even when --role-base-arn is given.",
  },
  "disable-strict-namespace-regexp": {
    kind: "boolean",
    section: "Roles",
    help: "Don't anchor the namespaces' expressions: they then permit every role that contains a match.",
  },
  "assume-role-arn": {
    kind: "string",
    default: "",
    section: "AWS",
    help: "Role that the server assumes first; it then assumes the pods' roles.",
  },
  region: {
    kind: "string",
    default: "",
    section: "AWS",
    help: "Region of the STS endpoint. The AWS SDK's own choice when empty.",
  },
  "sts-endpoint": {
    kind: "string",
    default: "",
    section: "AWS",
    help: "URL of the STS endpoint, e.g. of a VPC endpoint. The region's own when empty.",
  },
} as const satisfies SettingsTable;

export type ServerSettings = SettingsOf<typeof SERVER_SETTINGS>;
