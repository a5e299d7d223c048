import type { AppError } from "#core/errors.ts";
import { NodeTable } from "#core/feed/node-table.ts";
import { Places } from "#core/feed/places.ts";
import { Tokens } from "#core/imds/token.ts";
import { metadataUpstream } from "#edges/http/metadata-upstream.ts";
import { serveHttp } from "#edges/http/server.ts";
import { CniResults } from "#edges/linux/cni-results.ts";
import { KernelPlaces } from "#edges/linux/kernel-places.ts";
import { kiamServers } from "#edges/rpc/kiam-client.ts";
import { watchTlsFiles } from "#edges/rpc/tls-files.ts";
import { createLog } from "#runtime/log.ts";
import { createMetrics } from "#runtime/metrics.ts";
import { compileRe2 } from "#runtime/re2-engine.ts";
import { type Run, run } from "#runtime/run.ts";
import { formatAddress } from "#runtime/settings/address.ts";
import { systemClock } from "#runtime/system-clock.ts";
import { type Task, together } from "#runtime/together.ts";
import type { CommandContext } from "../cli/command.ts";
import { openProcess, type Process } from "../reporting/process.ts";
import { warnOfExpiry } from "../reporting/rpc-report.ts";
import { agentReport } from "./agent-report.ts";
import { imdsTokenKeys } from "./imds-token-keys.ts";
import { intercept } from "./intercept.ts";
import { metadataEndpoint } from "./metadata-endpoint.ts";
import type { AgentSettings } from "./settings.ts";

const SWEEP_EVERY_MS = 30_000;

/** `rolecall agent`: runs until it is told to stop. */
export function main(settings: AgentSettings, context: CommandContext): Promise<number> {
  const log = createLog({ json: settings.jsonLog, level: settings.level });
  for (const warning of context.warnings) log.say("settings_warning", { warning });
  return run(
    (process) => serve(settings, context, { log, metrics: createMetrics() }, process),
    (error) => log.say("fatal", { error }),
    { onSignal: (name) => log.say("signal_received", { signal: name }) },
  );
}

async function serve(
  settings: AgentSettings,
  { version }: CommandContext,
  { log, metrics }: Process,
  running: Run,
): Promise<void> {
  const { signal, resources } = running;
  const clock = systemClock;
  const random = Math.random;
  const report = agentReport(log, metrics);
  log.say("starting_agent", { version });

  // Interception first: until it stands, pods reach the node's own role (design invariant 3).
  const interception = await intercept(
    { settings, log, clock, random, observe: report.interception },
    running,
  );

  const tls = await watchTlsFiles({ ...settings, clock, signal, observe: report.tls });
  const servers = resources.use(
    kiamServers({
      address: formatAddress(settings.serverAddress),
      tls,
      keepalive: {
        timeMs: settings.grpcKeepaliveTimeDuration,
        timeoutMs: settings.grpcKeepaliveTimeoutDuration,
        permitWithoutStream: settings.grpcKeepalivePermitWithoutStream,
      },
      connectMs: settings.gatewayTimeoutCreation,
      clock,
      random,
      signal,
      observe: report.rpc,
    }),
  );
  const sandboxes = resources.use(new CniResults({ folder: settings.cniResults, clock, signal }));
  const places = new Places({
    records: (address) => sandboxes.at(address),
    kernel: new KernelPlaces({ clock, signal }),
    observe: report.places,
  });
  const podAt = async (address: string): Promise<string | undefined> =>
    (await places.ownerOf(address)).record?.podUid;
  const table = new NodeTable({
    ask: servers,
    podAt,
    clock,
    observe: report.table,
  });
  const tokenKeys = resources.use(imdsTokenKeys({ tls, clock }));
  const endpoint = resources.use(
    await serveHttp({
      port: settings.port,
      clock,
      handler: metadataEndpoint({
        table,
        podAt: async (address) => ({
          // A disputed address has no pod; whatever it asks the table for is refused.
          uid: await podAt(address).catch(() => undefined),
          requireImdsv2: false,
          roleArn: undefined,
        }),
        tokens: new Tokens({ macs: () => tokenKeys.macs(), clock }),
        upstream: metadataUpstream({ endpoint: settings.metadataEndpoint, clock }),
        allow: compileRe2(settings.allowRouteRegexp),
        allowSource: settings.allowRouteRegexp,
        requireImdsv2: settings.requireImdsv2,
        kiamCompatible: settings.kiamCompatibleAnswers,
        allowIpQuery: settings.allowIpQuery,
        serverHealth: (stop) => servers.health(stop),
        clock,
        observe: report.answered,
      }),
    }),
  );
  log.say("listening", { port: endpoint.port });
  await interception.takeOver(signal);

  let unreachable: string | undefined = "no server has answered yet";
  await openProcess({
    settings,
    log,
    metrics,
    version,
    resources,
    sharedPorts: true,
    health: () => ({
      live: true,
      ready: unreachable === undefined,
      reasons: unreachable === undefined ? [] : [unreachable],
    }),
  });

  const watchServers: Task = async (stop) => {
    for (;;) {
      unreachable = await servers.health(stop).then(
        () => undefined,
        (error: AppError) => servers.lastError ?? error.message,
      );
      await clock.sleep(unreachable === undefined ? 5_000 : 500, stop);
    }
  };
  const sweep: Task = async (stop) => {
    for (;;) {
      await clock.sleep(SWEEP_EVERY_MS, stop);
      table.sweep();
    }
  };
  await together(signal, [
    watchServers,
    sweep,
    (stop) => warnOfExpiry({ side: "client", log, metrics }, () => tls.expiresAt, clock, stop),
    ...interception.tasks,
  ]);
}
