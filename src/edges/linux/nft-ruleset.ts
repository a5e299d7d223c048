import { isIP, isIPv4 } from "node:net";
import { AppError } from "#core/errors.ts";
import { TTL_HEADER } from "#core/imds/answers.ts";
import type { Endpoint } from "./intercepted-addresses.ts";
import { checkPort, parseInterfaces, type RuleTarget } from "./rule-target.ts";

/** What our tables hold. */
export interface RulesetTarget extends Omit<RuleTarget, "hostInterface"> {
  /** Every interface but the loopback when absent. */
  readonly hostInterface: string | undefined;
  /** The node's address in the family that `hostIp` is not of, where it has one. */
  readonly otherIp?: string | undefined;
  readonly endpoints: readonly Endpoint[];
  /** When the agent started, in milliseconds since the epoch; says whose rules these are. */
  readonly since: number;
}

/** The families in which we have a table. */
export type Family = "inet" | "bridge";

/**
 * A transaction that replaces our tables, for `nft -f`. What else is in the kernel is not touched.
 *
 * - `intercept` comes before everybody else's address translation, so that no rule of another program
 *   can take these requests elsewhere.
 * - `refuse` comes behind all of it. What still goes to one of our addresses then was not redirected:
 *   another port, another interface than the one that was named, a connection from before the rules.
 *   It is refused and not dropped, so that a client tries again at once.
 * - `elsewhere` refuses what was redirected and leaves the node all the same: to an address that is not, or
 *   no longer, the node's. Whoever has it now would get the pods' tokens.
 * - In the family `bridge`, frames that go from one port of a bridge to another are dropped: without
 *   br_netfilter they pass no table of `inet`.
 *
 * `hop_limit` keeps answers with a session token from going further than to the pod that asked: not to
 * containers or machines behind it, as with EC2's default limit.
 *
 * The node's own requests pass none of these hooks, but for what it sends to itself: that comes in by `lo`,
 * where the kernel has decided about its translation already.
 *
 * @throws {AppError} `invalid_settings` when interface, address or port can't be in a rule.
 */
export function nftRuleset(target: RulesetTarget, families: readonly Family[]): string {
  checkPort(target.port);
  const { endpoints } = target;
  const all = {
    ip: `ip daddr { ${endpoints.map(({ ip }) => ip).join(", ")} }`,
    ip6: `ip6 daddr { ${endpoints.map(({ ip6 }) => ip6).join(", ")} }`,
  };
  const from = interfaceMatch(target.hostInterface);
  const to = destinations(target);
  const bodies: Readonly<Record<Family, string>> = {
    inet: `
  comment "since ${target.since}"
  chain intercept {
    type nat hook prerouting priority dstnat - 10; policy accept;
    ${from}${all.ip} tcp dport 80 ${to.ip}
    ${from}${all.ip6} tcp dport 80 ${to.ip6}
  }
  chain refuse {
    type filter hook prerouting priority dstnat + 10; policy accept;
    iifname "lo" accept
    ${all.ip} goto refused
    ${all.ip6} goto refused
  }
  chain elsewhere {
    type filter hook forward priority filter; policy accept;
    ct original ${all.ip} goto refused
    ct original ${all.ip6} goto refused
  }
  chain refused {
    meta l4proto tcp reject with tcp reset
    reject
  }
  chain hop_limit {
    type filter hook output priority mangle; policy accept;
    ${tokenAnswers(target.port).join("\n    ")}
  }
`,
    bridge: `
  chain refuse {
    type filter hook forward priority filter; policy accept;
    ${all.ip} drop
    ${all.ip6} drop
  }
`,
  };
  return families
    .map((family) => `${nftRemoval([family])}table ${family} rolecall {${bodies[family]}}\n`)
    .join("");
}

/** A transaction that removes our tables, whether they are there or not. */
export function nftRemoval(families: readonly Family[]): string {
  const one = (family: Family): string =>
    `table ${family} rolecall\ndelete table ${family} rolecall\n`;
  return families.map(one).join("");
}

/**
 * An answer with a token is told by what follows its status line, the header that `tokenAnswer` puts first.
 * Where that is depends on the TCP header: with timestamps, which Linux sends by default, or bare.
 */
function tokenAnswers(port: number): readonly string[] {
  const begins = Buffer.from(`\r\n${TTL_HEADER}`).subarray(0, 14).toString("hex");
  return [32, 20].flatMap((tcpBytes) => {
    const at = (tcpBytes + "HTTP/1.1 200 OK".length) * 8;
    const found = `tcp sport ${port} tcp doff ${tcpBytes / 4} @th,${at},112 0x${begins}`;
    return [`${found} ip ttl set 1`, `${found} ip6 hoplimit set 1`];
  });
}

function interfaceMatch(hostInterface: string | undefined): string {
  if (hostInterface === undefined) return "";
  const { inverted, name, isPrefix } = parseInterfaces(hostInterface);
  return `iifname ${inverted ? "!= " : ""}"${name}${isPrefix ? "*" : ""}" `;
}

/**
 * To the node's address. In a family in which it has none, to the address of the interface that the request
 * came over; the kernel drops what comes over one without.
 */
function destinations({ hostIp, otherIp, port }: RulesetTarget): { ip: string; ip6: string } {
  if (isIP(hostIp) === 0) {
    throw new AppError(
      "invalid_settings",
      `--host ${JSON.stringify(hostIp)} is not an address, which --interception=nft needs`,
    );
  }
  const [ip, ip6] = isIPv4(hostIp) ? [hostIp, otherIp] : [otherIp, hostIp];
  const redirect = `redirect to :${port}`;
  return {
    ip: ip === undefined ? redirect : `dnat ip to ${ip}:${port}`,
    ip6: ip6 === undefined ? redirect : `dnat ip6 to [${ip6}]:${port}`,
  };
}
