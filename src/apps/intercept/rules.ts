import type { Clock } from "#core/clock.ts";
import type { Execute } from "#edges/linux/execute.ts";
import { interceptedEndpoints } from "#edges/linux/intercepted-addresses.ts";
import type { InterceptionEvent, InterceptionRules } from "#edges/linux/interception-rules.ts";
import { iptablesRules } from "#edges/linux/iptables.ts";
import { nftRules } from "#edges/linux/nft.ts";
import { fenced } from "#edges/linux/routing-fence.ts";
import type { InterceptionSettings } from "./settings.ts";

export interface RulesOptions {
  readonly settings: InterceptionSettings;
  readonly clock: Pick<Clock, "now">;
  readonly observe: (event: InterceptionEvent) => void;
  readonly exec?: Execute | undefined;
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
  switch (settings.interception ?? (settings.iptables ? "iptables" : "none")) {
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
      return fenced(nftRules({ target, observe, exec }), endpoints, exec);
    }
  }
}
