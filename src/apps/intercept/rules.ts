import { isIPv4 } from "node:net";
import type { Clock } from "#core/clock.ts";
import type { Execute } from "#edges/linux/execute.ts";
import { interceptedEndpoints } from "#edges/linux/intercepted-addresses.ts";
import type { InterceptionEvent, InterceptionRules } from "#edges/linux/interception-rules.ts";
import { iptablesRules } from "#edges/linux/iptables.ts";
import { nftRules } from "#edges/linux/nft.ts";
import { otherAddress } from "#edges/linux/other-address.ts";
import { fenced } from "#edges/linux/routing-fence.ts";
import type { InterceptionSettings } from "./settings.ts";

export interface RulesOptions {
  readonly settings: InterceptionSettings;
  readonly clock: Pick<Clock, "now">;
  readonly observe: (event: InterceptionEvent) => void;
  readonly exec?: Execute | undefined;
}

/** What the rules that the settings ask for bring to the agent: at which addresses, and from where. */
export interface Intercepted {
  readonly addresses: readonly string[];
  /** Every interface when absent. */
  readonly hostInterface: string | undefined;
}

/** Kiam's default. */
const KIAM_INTERFACE = "docker0";

/**
 * The rules that the settings ask for; undefined for none.
 *
 * @throws {AppError} `invalid_settings` when what they say can't be in a rule.
 */
export function rulesFor(options: RulesOptions): InterceptionRules | undefined {
  const { settings, clock, observe, exec } = options;
  const { host: hostIp, port } = settings;
  switch (wayOf(settings)) {
    case "none":
      return undefined;
    case "iptables": {
      const { hostInterface = KIAM_INTERFACE } = settings;
      return iptablesRules({ hostInterface, hostIp, port }, exec);
    }
    case "nft": {
      const { hostInterface, interceptContainerEndpoint: containerEndpoint } = settings;
      const endpoints = interceptedEndpoints(containerEndpoint);
      const target = { hostInterface, hostIp, port, endpoints, since: clock.now() };
      const otherIp = (signal: AbortSignal): Promise<string | undefined> =>
        otherAddress(hostIp, signal, exec);
      return fenced(nftRules({ target, otherIp, observe, exec }), endpoints, exec);
    }
  }
}

/**
 * What a pod can be sure of with these settings: of the family that `--host` is not of only with nft. Where the
 * node has no address of it, that is what comes in at an interface with one, which IPv4 does not give to each.
 *
 * @throws {AppError} `invalid_settings` when the node's addresses can't be told.
 */
export async function interceptedBy(
  { settings, exec }: Pick<RulesOptions, "settings" | "exec">,
  signal: AbortSignal,
): Promise<Intercepted | undefined> {
  const { host, hostInterface, interceptContainerEndpoint } = settings;
  switch (wayOf(settings)) {
    case "none":
      return undefined;
    case "iptables":
      return {
        addresses: interceptedEndpoints(false).map(({ ip }) => ip),
        hostInterface: hostInterface ?? KIAM_INTERFACE,
      };
    case "nft": {
      const endpoints = interceptedEndpoints(interceptContainerEndpoint);
      const ip6 = endpoints.map((endpoint) => endpoint.ip6);
      const hasIPv4 = isIPv4(host) || (await otherAddress(host, signal, exec)) !== undefined;
      const ip = hasIPv4 ? endpoints.map((endpoint) => endpoint.ip) : [];
      return { addresses: [...ip, ...ip6], hostInterface };
    }
  }
}

function wayOf({ interception, iptables }: InterceptionSettings): "iptables" | "nft" | "none" {
  return interception ?? (iptables ? "iptables" : "none");
}
