import { hash } from "node:crypto";
import { Places } from "#core/feed/places.ts";
import { orAborted } from "#core/or-aborted.ts";
import { Tokens } from "#core/imds/token.ts";
import { PodTokens } from "#core/token/pod-tokens.ts";
import { jwkVerifier } from "#edges/crypto/jwk-verifier.ts";
import { metadataUpstream } from "#edges/http/metadata-upstream.ts";
import { serveHttp } from "#edges/http/server.ts";
import { CniResults } from "#edges/linux/cni-results.ts";
import { KernelPlaces } from "#edges/linux/kernel-places.ts";
import { listeningSockets } from "#edges/linux/listening-sockets.ts";
import { createLog } from "#runtime/log.ts";
import { createMetrics } from "#runtime/metrics.ts";
import { compileSetting } from "#runtime/re2.ts";
import { openReadyFile } from "#runtime/ready-file.ts";
import { type Run, run } from "#runtime/run.ts";
import { systemClock } from "#runtime/system-clock.ts";
import type { Health } from "#runtime/telemetry.ts";
import { together } from "#runtime/together.ts";
import type { CommandContext } from "../cli/command.ts";
import { openProcess, type Process } from "../reporting/process.ts";
import { warnOfExpiry } from "../reporting/rpc-report.ts";
import { agentReport } from "./agent-report.ts";
import { connect } from "./connect.ts";
import { containerEndpoint } from "./container-endpoint.ts";
import { endpoints } from "./endpoints.ts";
import { awaitTurn, handOver } from "./hand-over.ts";
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

  // What requests need goes on until the last of them was answered.
  const working = new AbortController();
  const endWork = (): void => working.abort(new Error("the agent has stopped"));
  resources.defer(endWork);
  const { signal: atWork } = working;
  const connecting = connect({ settings, report, clock, random, signal: atWork });
  // Its failure is told below.
  connecting.catch(() => undefined);
  // Interception first, whatever else fails: until it stands, pods reach the node's own role (design invariant 3).
  const interception = await intercept(
    { settings, log, clock, random, observe: report.interception },
    running,
  );
  const { tls, servers } = await connecting;
  resources.use(servers);
  const sandboxes = resources.use(
    new CniResults({ folder: settings.cniResults, clock, signal: atWork }),
  );
  const places = new Places({
    records: (address) => sandboxes.at(address),
    kernel: new KernelPlaces({ clock, signal: atWork }),
    observe: (dispute) => way.disputed(dispute),
  });
  const { table, pods, isInSync, unreadiness, ...way } = wayOfData({
    node: settings.nodeName,
    version,
    servers,
    places,
    clock,
    random,
    signal: atWork,
    report,
  });
  const tokenKeys = resources.use(imdsTokenKeys({ tls, clock }));
  // Once more, since what was opened above ends only when its calls have ended.
  resources.defer(endWork);
  const following = way.run(atWork);
  // Its failure is told below; its end is the end of all.
  following.catch(() => undefined);
  let isOpen = false;
  metrics.beforeScrape(() => {
    metrics.set("rolecall_pods", {}, pods.size);
    metrics.set("rolecall_feed_in_sync", {}, isInSync() ? 1 : 0);
  });
  const health = (): Health => {
    const unopened = isOpen ? undefined : "the port is not open yet";
    const reason = unreadiness() ?? unopened ?? interception.unreadiness();
    return {
      live: true,
      ready: reason === undefined,
      reasons: reason === undefined ? [] : [reason],
    };
  };
  await openProcess({
    settings,
    log,
    metrics,
    version,
    resources,
    sharedPorts: true,
    health,
  });
  if (settings.readyFile !== "") {
    resources.use(await openReadyFile({ path: settings.readyFile, health, clock }));
  }
  const upstream = resources.use(metadataUpstream({ endpoint: settings.metadataEndpoint, clock }));
  const open = async (stop: AbortSignal): Promise<void> => {
    const isReady = async (): Promise<boolean> => unreadiness() === undefined;
    await awaitTurn({ port: settings.port, listeners: listeningSockets, isReady, clock }, stop);
    const endpoint = resources.use(
      await serveHttp({
        port: settings.port,
        clock,
        observe: report.refused,
        handler: interception.hearing(
          endpoints({
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
              upstream: upstream.ask,
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
        ),
      }),
    );
    resources.defer(() => handOver({ endpoint, listeners: listeningSockets }));
    isOpen = true;
    log.say("listening", { port: endpoint.port });
    await interception.takeOver(stop);
    await together(stop, interception.tasks);
  };
  await together(signal, [
    (stop) => orAborted(following, stop),
    open,
    (stop) => warnOfExpiry({ side: "client", log, metrics }, () => tls.expiresAt, clock, stop),
  ]);
}
