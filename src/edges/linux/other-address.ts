import { isIPv4 } from "node:net";
import { normalizeAddress } from "#core/pod/address.ts";
import type { Execute } from "./execute.ts";
import { ruleFailure, ruleProgram } from "./rule-program.ts";

/** The part of `ip -json address show` that is read. What its filter leaves out is listed empty, or not. */
interface Listed {
  readonly addr_info?: readonly { readonly family?: "inet" | "inet6"; readonly local?: string }[];
}

/**
 * The node's own address in the family that `hostIp` is not of: a global one of the interface that has
 * `hostIp`, now. Undefined where there is none.
 *
 * Of several the one that has been there longest, since one that fails over between machines comes later.
 *
 * @throws {AppError} `invalid_settings` when `ip` can't say.
 */
export async function otherAddress(
  hostIp: string,
  signal: AbortSignal,
  exec?: Execute,
): Promise<string | undefined> {
  const ip = ruleProgram("ip", exec);
  // Not os.networkInterfaces(), by which the whole process waits for whoever makes links and namespaces.
  const listed = await ip(["-json", "address", "show", "scope", "global"], signal);
  if (listed.status !== 0) throw ruleFailure("ip", listed);
  const own = (JSON.parse(listed.stdout) as readonly Listed[])
    .map(({ addr_info = [] }) => addr_info)
    .find((addresses) => addresses.some(({ local }) => local === normalizeAddress(hostIp)));
  const of = (wanted: string): (string | undefined)[] =>
    (own ?? []).filter(({ family }) => family === wanted).map(({ local }) => local);
  // The kernel lists IPv4 in the order of arrival, and IPv6 in the opposite one.
  return isIPv4(hostIp) ? of("inet6").at(-1) : of("inet")[0];
}
