import { isIPv4 } from "node:net";
import { AppError } from "#core/errors.ts";
import { checkPort, parseInterfaces, type RuleTarget } from "./rule-target.ts";

/**
 * Kiam's rule, word for word, so that one that Kiam left is found and not doubled (specs: kiam.md §6).
 *
 * @throws {AppError} `invalid_settings` when interface, address or port can't be in a rule.
 */
export function ruleParameters({ hostInterface, hostIp, port }: RuleTarget): readonly string[] {
  const { inverted, name, isPrefix } = parseInterfaces(hostInterface);
  if (!isIPv4(hostIp)) {
    throw new AppError(
      "invalid_settings",
      `--host ${JSON.stringify(hostIp)} is not an IPv4 address, which --interception=iptables needs`,
    );
  }
  checkPort(port);
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
    ...(inverted ? ["!"] : []),
    "-i",
    isPrefix ? `${name}+` : name,
  ];
}
