import { createLog } from "#runtime/log.ts";
import { run } from "#runtime/run.ts";
import { systemClock } from "#runtime/system-clock.ts";
import { connect } from "../agent/connect.ts";
import { type HealthReport, runHealth } from "./health.ts";
import type { HealthSettings } from "./settings.ts";

/** `rolecall health`: asks a server once, and exits with 0 when it answers. */
export async function main(settings: HealthSettings): Promise<number> {
  const log = createLog({ json: settings.jsonLog, level: settings.level });
  const clock = systemClock;
  const report = (event: HealthReport): void => {
    if (event.type === "healthy") log.say("healthy");
    else if (event.type === "try_failed") log.say("health_check_failed", { error: event.error });
    else log.say("fatal", { error: event.error });
  };
  let code = 1;
  const ended = await run(
    async ({ signal, resources }) => {
      const stop = new AbortController();
      resources.defer(() => stop.abort(new Error("the check is over")));
      const either = AbortSignal.any([signal, stop.signal]);
      const { servers: client } = await connect({
        settings,
        report: { rpc: () => {}, tls: () => {} },
        clock,
        random: Math.random,
        signal: either,
      });
      resources.use(client);
      code = await runHealth({ client, timeoutMs: settings.timeout, clock, signal, report });
    },
    (error) => log.say("fatal", { error }),
  );
  return ended === 0 ? code : ended;
}
