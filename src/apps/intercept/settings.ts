import { LOG_SETTINGS } from "#runtime/settings/common-settings.ts";
import type { SettingsOf, SettingsTable } from "#runtime/settings/setting.ts";

/** What the agent and `rolecall agent intercept` have to know alike (specs: kiam.md §1.4, §6). */
export const INTERCEPTION_SETTINGS = {
  port: {
    kind: "integer",
    default: "3100",
    min: 0,
    max: 65_535,
    section: "Metadata endpoint",
    help: "Port, on every interface, that pods' requests are redirected to.",
  },
  interception: {
    kind: "enum",
    values: ["iptables", "nft", "none"],
    section: "Interception",
    help:
      "How pods' requests are brought to this agent. `iptables`: Kiam's rule. `nft`: tables of our own, for IPv4 " +
      "and IPv6, which also refuse what goes to these addresses by another way. `none` when absent, unless --iptables.",
  },
  iptables: {
    kind: "boolean",
    section: "Interception",
    help: "The same as --interception=iptables.",
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
    section: "Interception",
    help:
      "The interface that pods' traffic comes from: `cali+` takes every one that starts so, `!eth0` every other one. " +
      "When absent, `docker0` with iptables, and with nft every one: only pods' traffic to these addresses comes in.",
  },
  "intercept-container-endpoint": {
    kind: "boolean",
    default: "true",
    section: "Interception",
    help:
      "With nft, bring requests to 169.254.170.23 and fd00:ec2::23 to this agent too. To be switched off where EKS Pod " +
      "Identity serves pods at these addresses.",
  },
} as const satisfies SettingsTable;

/** Every setting of `rolecall agent intercept`. */
export const INTERCEPT_SETTINGS = {
  ...LOG_SETTINGS,
  ...INTERCEPTION_SETTINGS,
  remove: {
    kind: "boolean",
    section: "Interception",
    help: "Remove the rules. Pods then reach the node's own role whenever no agent has put them back.",
  },
} as const satisfies SettingsTable;

export type InterceptionSettings = SettingsOf<typeof INTERCEPTION_SETTINGS>;
export type InterceptSettings = SettingsOf<typeof INTERCEPT_SETTINGS>;
