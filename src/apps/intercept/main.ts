import { AppError } from "#core/errors.ts";
import { createLog } from "#runtime/log.ts";
import { run } from "#runtime/run.ts";
import { systemClock } from "#runtime/system-clock.ts";
import { Interception } from "#edges/linux/interception.ts";
import type { InterceptionEvent } from "#edges/linux/interception-rules.ts";
import { reportInterception } from "./report.ts";
import { rulesFor } from "./rules.ts";
import type { InterceptSettings } from "./settings.ts";

/**
 * `rolecall agent intercept`: puts the rules in place, or removes them, and leaves. Run before the
 * agent, it spares the agent the capability NET_ADMIN.
 */
export function main(settings: InterceptSettings): Promise<number> {
  const log = createLog({ json: settings.jsonLog, level: settings.level });
  const observe = (event: InterceptionEvent): void => reportInterception(log, event);
  return run(
    async ({ signal }) => {
      const rules = rulesFor({ settings, clock: systemClock, observe });
      if (rules === undefined) {
        throw new AppError("invalid_settings", "--interception=iptables or nft is wanted");
      }
      const interception = new Interception({ rules, clock: systemClock, observe });
      if (settings.remove) return interception.remove(signal);
      await interception.ensure(signal);
      await interception.takeOver(signal);
    },
    (error) => log.say("fatal", { error }),
  );
}
