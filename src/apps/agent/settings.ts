import {
  COMMON_SETTINGS,
  SERVER_CLIENT_SETTINGS,
  TELEMETRY_SETTINGS,
} from "#runtime/settings/common-settings.ts";
import type { SettingsOf, SettingsTable } from "#runtime/settings/setting.ts";

/** Every setting of `rolecall agent` (Kiam's: specs/kiam.md §1.4). */
export const AGENT_SETTINGS = {
  ...COMMON_SETTINGS,
  ...TELEMETRY_SETTINGS,
  ...SERVER_CLIENT_SETTINGS,
  port: {
    kind: "integer",
    default: "3100",
    min: 0,
    max: 65_535,
    section: "Metadata endpoint",
    help: "Port, on every interface, that pods' requests are redirected to.",
  },
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
  "cni-results": {
    kind: "string",
    default: "/var/lib/cni/results",
    section: "Node",
    help:
      "Folder in which the container runtime keeps what its network plugins returned. It tells which " +
      "pod has an address seconds before the API server does; without it, the first calls of a fresh " +
      "pod may come too early.",
  },
  iptables: {
    kind: "boolean",
    section: "Interception",
    help: "Redirect traffic to the metadata address to this agent, and keep the rule in place.",
  },
  "iptables-remove": {
    kind: "boolean",
    section: "Interception",
    help: "Remove the rule at exit. Pods then reach the node's own role whenever no agent runs. Unlike Kiam's, it is off by default.",
  },
  host: {
    kind: "string",
    required: true,
    environment: "HOST_IP",
    section: "Interception",
    help: "The node's address, which traffic is redirected to.",
  },
  "host-interface": {
    kind: "string",
    default: "docker0",
    section: "Interception",
    help: "The interface that pods' traffic comes from: `cali+` takes every one that starts so, `!eth0` every other one.",
  },
} as const satisfies SettingsTable;

export type AgentSettings = SettingsOf<typeof AGENT_SETTINGS>;
