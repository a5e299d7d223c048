import { hash } from "node:crypto";
import { Places } from "#core/feed/places.ts";
import { Tokens } from "#core/imds/token.ts";
import { PodTokens } from "#core/token/pod-tokens.ts";
import { jwkVerifier } from "#edges/crypto/jwk-verifier.ts";
import { metadataUpstream } from "#edges/http/metadata-upstream.ts";
import { serveHttp } from "#edges/http/server.ts";
import { CniResults } from "#edges/linux/cni-results.ts";
import { KernelPlaces } from "#edges/linux/kernel-places.ts";
import { kiamServers } from "#edges/rpc/kiam-client.ts";
import { watchTlsFiles } from "#edges/rpc/tls-files.ts";
import { createLog } from "#runtime/log.ts";
import { createMetrics } from "#runtime/metrics.ts";
import { compileSetting } from "#runtime/re2.ts";
import { type Run, run } from "#runtime/run.ts";
import { formatAddress } from "#runtime/settings/address.ts";
import { systemClock } from "#runtime/system-clock.ts";
import { together } from "#runtime/together.ts";
import type { CommandContext } from "../cli/command.ts";
import { openProcess, type Process } from "../reporting/process.ts";
import { warnOfExpiry } from "../reporting/rpc-report.ts";
import { agentReport } from "./agent-report.ts";
import { containerEndpoint } from "./container-endpoint.ts";
import { endpoints } from "./endpoints.ts";
import { imdsTokenKeys } from "./imds-token-keys.ts";
import { intercept } from "./intercept.ts";
import { metadataEndpoint } from "./metadata-endpoint.ts";
import type { AgentSettings } from "./settings.ts";
import { wayOfData } from "./way-of-data.ts";

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
  const { table, pods, isInSync, unreadiness, ...way } = wayOfData({
    node: settings.nodeName,
    version,
    servers,
    places,
    clock,
    random,
    report,
  });
  const tokenKeys = resources.use(imdsTokenKeys({ tls, clock }));
  const endpoint = resources.use(
    await serveHttp({
      port: settings.port,
      clock,
      observe: report.refused,
      handler: endpoints({
        container: containerEndpoint({
          table,
          pods,
          tokens: new PodTokens({
            clock,
            node: settings.nodeName,
            keys: () => pods.tokenKeys,
            importKey: jwkVerifier,
            digest: (text) => hash("sha256", text, "base64"),
          }),
          observe: report.containerAnswered,
        }),
        metadata: metadataEndpoint({
          table,
          podAt: (address) => table.known(address),
          tokens: new Tokens({ macs: () => tokenKeys.macs(), clock }),
          upstream: metadataUpstream({ endpoint: settings.metadataEndpoint, clock }),
          allow: await compileSetting(settings.allowRouteRegexp),
          allowSource: settings.allowRouteRegexp,
          requireImdsv2: settings.requireImdsv2,
          kiamCompatible: settings.kiamCompatibleAnswers,
          allowIpQuery: settings.allowIpQuery,
          serverHealth: (stop) => servers.health(stop),
          clock,
          observe: report.answered,
        }),
      }),
    }),
  );
  log.say("listening", { port: endpoint.port });
  await interception.takeOver(signal);

  metrics.beforeScrape(() => {
    metrics.set("rolecall_pods", {}, pods.size);
    metrics.set("rolecall_feed_in_sync", {}, isInSync() ? 1 : 0);
  });
  await openProcess({
    settings,
    log,
    metrics,
    version,
    resources,
    sharedPorts: true,
    health: () => {
      const reason = unreadiness();
      return {
        live: true,
        ready: reason === undefined,
        reasons: reason === undefined ? [] : [reason],
      };
    },
  });

  await together(signal, [
    way.run,
    (stop) => warnOfExpiry({ side: "client", log, metrics }, () => tls.expiresAt, clock, stop),
    ...interception.tasks,
  ]);
}
