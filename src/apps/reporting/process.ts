import type { Log } from "#runtime/log.ts";
import type { Metrics } from "#runtime/metrics.ts";
import { reportProcess } from "#runtime/process-metrics.ts";
import type { Address } from "#runtime/settings/setting.ts";
import { serveTelemetry, type Health } from "#runtime/telemetry.ts";

/** What every part of a process reports to. */
export interface Process {
  readonly log: Log;
  readonly metrics: Metrics;
}

export interface OpenProcessOptions extends Process {
  readonly settings: {
    readonly prometheusListenAddr: Address | undefined;
    readonly pprofListenAddr: Address | undefined;
  };
  readonly version: string;
  readonly resources: AsyncDisposableStack;
  readonly health: () => Health;
  /** Lets a process that takes over from this one open the same ports. */
  readonly sharedPorts?: boolean;
}

/** Opens the ports for operators that the settings ask for. */
export async function openProcess(options: OpenProcessOptions): Promise<void> {
  const { settings, log, metrics, version, resources, health, sharedPorts: shared } = options;
  reportProcess(metrics);
  metrics.set("rolecall_build_info", { version, runtime: process.version }, 1);
  if (settings.prometheusListenAddr !== undefined) {
    const address = settings.prometheusListenAddr;
    resources.use(await serveTelemetry({ address, metrics, health, shared }));
    log.say("telemetry_listening", { ...address });
  }
  if (settings.pprofListenAddr !== undefined) {
    const address = settings.pprofListenAddr;
    // Hardly anybody profiles, and what it needs of Node is large.
    const { servePprof } = await import("#runtime/pprof.ts");
    resources.use(await servePprof({ address, shared }));
    log.say("pprof_listening", { ...address });
  }
}
