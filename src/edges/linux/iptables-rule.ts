import { isIPv4 } from "node:net";
import { AppError } from "#core/errors.ts";

/** What is redirected, and where to. */
export interface RuleTarget {
  /** As iptables takes it: a name, a prefix with `+`, or either with a leading `!` for every other. */
  readonly hostInterface: string;
  /** The node's IPv4 address. */
  readonly hostIp: string;
  readonly port: number;
}

/** Linux allows 15 bytes in an interface's name. */
const INTERFACE = /^!?[A-Za-z0-9_][A-Za-z0-9_.:-]{0,14}\+?$/;

/**
 * Kiam's rule, word for word, so that one that Kiam left is found and not doubled (specs: kiam.md §6).
 *
 * @throws {AppError} `invalid_settings` when interface, address or port can't be in a rule.
 */
export function ruleParameters({ hostInterface, hostIp, port }: RuleTarget): readonly string[] {
  if (!INTERFACE.test(hostInterface)) {
    throw new AppError(
      "invalid_settings",
      `--host-interface ${JSON.stringify(hostInterface)} is not an interface; want e.g. eth0, cali+ or !eth0`,
    );
  }
  if (!isIPv4(hostIp)) {
    throw new AppError(
      "invalid_settings",
      `--host ${JSON.stringify(hostIp)} is not an IPv4 address, which --iptables needs`,
    );
  }
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new AppError("invalid_settings", `--port ${port} is not a port from 1 to 65535`);
  }
  return [
    "-p",
    "tcp",
    "-d",
    "169.254.169.254",
    "--dport",
    "80",
    "-j",
    "DNAT",
    "--to-destination",
    `${hostIp}:${port}`,
    ...interfaceParameters(hostInterface),
  ];
}

function interfaceParameters(hostInterface: string): readonly string[] {
  return hostInterface.startsWith("!")
    ? ["!", "-i", hostInterface.slice(1)]
    : ["-i", hostInterface];
}
