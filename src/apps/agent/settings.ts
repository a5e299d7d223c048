import {
  COMMON_SETTINGS,
  SERVER_CLIENT_SETTINGS,
  TELEMETRY_SETTINGS,
} from "#runtime/settings/common-settings.ts";
import { INTERCEPTION_SETTINGS } from "../intercept/settings.ts";
import type { SettingsOf, SettingsTable } from "#runtime/settings/setting.ts";

/** Every setting of `rolecall agent` (Kiam's: specs/kiam.md §1.4). */
export const AGENT_SETTINGS = {
  ...COMMON_SETTINGS,
  ...TELEMETRY_SETTINGS,
  ...SERVER_CLIENT_SETTINGS,
  "allow-ip-query": {
    kind: "boolean",
    section: "Metadata endpoint",
    help: "Believe the address in the query `ip`. For development only: any pod can pass for any other.",
  },
  "allow-route-regexp": {
    kind: "regexp",
    default: "^$",
    aliases: ["whitelist-route-regexp"],
    section: "Metadata endpoint",
    help: "RE2 expression, not anchored, over the decoded path: what pods may read of the node's own metadata. Credentials and user data stay closed whatever it says.",
  },
  "metadata-endpoint": {
    kind: "string",
    default: "http://169.254.169.254",
    section: "Metadata endpoint",
    help: "The real metadata service, which allowed requests go to.",
  },
  "require-imdsv2": {
    kind: "boolean",
    section: "Metadata endpoint",
    help: "Refuse requests without a session token (IMDSv1).",
  },
  "kiam-compatible-answers": {
    kind: "boolean",
    section: "Metadata endpoint",
    help: "Answer with Kiam's status codes, bodies and timing instead of AWS's.",
  },
  "node-name": {
    kind: "string",
    default: "",
    environment: "NODE_NAME",
    section: "Node",
    help: "The node's name in Kubernetes (spec.nodeName). Servers tell the agent of this node's pods as soon as anything changes; without it the agent asks them about each pod, as Kiam's does.",
  },
  "ready-file": {
    kind: "string",
    default: "",
    section: "Node",
    help:
      "File that says `ready`, or why not, for probes of agents that share their ports with the next one: " +
      "`rolecall is-ready FILE` and `rolecall is-alive FILE` of the image. None when empty.",
  },
  "cni-results": {
    kind: "string",
    default: "/var/lib/cni/results",
    section: "Node",
    help:
      "Folder in which the container runtime keeps what its network plugins returned. It tells which " +
      "pod has an address seconds before the API server does; without it, the first calls of a fresh " +
      "pod may come too early.",
  },
  ...INTERCEPTION_SETTINGS,
  "interception-self-test": {
    kind: "boolean",
    section: "Interception",
    help:
      "Before it is ready, have this agent ask at the intercepted addresses as a pod would, from a network namespace of " +
      "its own. Needs the capabilities SYS_ADMIN and NET_ADMIN; without them it is skipped, and the log says so.",
  },
  "iptables-remove": {
    kind: "boolean",
    section: "Interception",
    help: "Remove the rules at exit, of iptables or nft. Pods then reach the node's own role whenever no agent runs. Unlike Kiam's, it is off by default.",
  },
} as const satisfies SettingsTable;

export type AgentSettings = SettingsOf<typeof AGENT_SETTINGS>;
