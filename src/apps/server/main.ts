import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { baseArnOf } from "#core/role/base-arn.ts";
import { EventWindow } from "#core/pod/event-window.ts";
import { Expressions } from "#core/policy/expression.ts";
import type { Change } from "#core/watch/change.ts";
import { follow, type FollowEvent } from "#core/watch/follow.ts";
import { resolveRole } from "#core/role/resolve-role.ts";
import { createStsClient } from "#edges/aws/sts-client.ts";
import { stsIssuer } from "#edges/aws/sts-issuer.ts";
import { inClusterConnection, kubeconfigConnection } from "#edges/kubernetes/connection.ts";
import { eventWriter } from "#edges/kubernetes/events.ts";
import { listWatch } from "#edges/kubernetes/list-watch.ts";
import { projectNamespace } from "#edges/kubernetes/namespaces.ts";
import { projectPod } from "#edges/kubernetes/pods.ts";
import { serveKiam } from "#edges/rpc/kiam-server.ts";
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
import { detectBaseArn } from "./base-arn.ts";
import { podEvents } from "./pod-events.ts";
import { type Resource, serverReport } from "./server-report.ts";
import { kiamHandlers, type ServiceEvent } from "./service.ts";
import type { ServerSettings } from "./settings.ts";
import { trustedTokens } from "./trusted-tokens.ts";
import { wayOfData } from "./way-of-data.ts";

/** Between two tries to follow the cluster: short, since what a server decides on is stale meanwhile. */
const PAUSE = { firstMs: 200, mostMs: 5_000 };
const EVENT_WINDOW_MS = 300_000;
const EVENTS_REMEMBERED_MAX = 10_000;

/** `rolecall server`: runs until it is told to stop. */
export function main(settings: ServerSettings, context: CommandContext): Promise<number> {
  const log = createLog({ json: settings.jsonLog, level: settings.level });
  for (const warning of context.warnings) log.say("settings_warning", { warning });
  return run(
    (process) => serve(settings, context, { log, metrics: createMetrics() }, process),
    (error) => log.say("fatal", { error }),
    { onSignal: (name) => log.say("signal_received", { signal: name }) },
  );
}

async function serve(
  settings: ServerSettings,
  { environment, version }: CommandContext,
  { log, metrics }: Process,
  { signal, resources }: Run,
): Promise<void> {
  const clock = systemClock;
  const random = Math.random;
  const report = serverReport(log, metrics);
  log.say("starting_server", { version });

  const tls = await watchTlsFiles({ ...settings, clock, signal, observe: report.tls });
  const connection = await (settings.kubeconfig === ""
    ? inClusterConnection({ environment, clock })
    : kubeconfigConnection(settings.kubeconfig, { clock }));
  resources.use(connection);
  const assumeRoleArn =
    settings.assumeRoleArn && resolveRole(settings.assumeRoleArn, settings.roleBaseArn).arn;
  const sts = createStsClient(
    { region: settings.region, endpoint: settings.stsEndpoint, assumeRoleArn },
    environment,
  );
  resources.defer(() => sts.destroy());

  const trusted = trustedTokens({
    connection,
    audiences: settings.containerTokenAudience,
    changed: () => feeds.tokenKeysChanged(),
    clock,
    random,
    observe: report.issuer,
  });
  const { pods, grants, sessions, feeds } = wayOfData({
    clock,
    random,
    signal,
    sessions: {
      issue: stsIssuer(sts, clock),
      observe: report.session,
      concurrencyMax: settings.fetchers,
      queueMax: settings.prefetchBufferSize,
      renewBeforeMs: settings.sessionRefresh,
    },
    tokenKeys: () => trusted.keys,
    epoch: randomUUID(),
    observeFeed: (event) => {
      if ("pod" in event) tell(event);
      else report.feed(event);
    },
  });
  const useBaseArn = (baseArn: string): void =>
    grants.use({
      baseArn,
      expressions: new Expressions(compileRe2, { strict: !settings.disableStrictNamespaceRegexp }),
      defaultSessionName: settings.session,
      durationSeconds: settings.sessionDuration / 1_000,
    });
  const tellPod = podEvents({
    window: new EventWindow({
      clock,
      windowMs: EVENT_WINDOW_MS,
      entriesMax: EVENTS_REMEMBERED_MAX,
    }),
    write: eventWriter({ connection, component: "kiam.server", host: hostname(), clock }),
    signal,
    observe: report.podEvent,
  });
  const tell = (event: ServiceEvent): void => {
    report.service(event);
    if (settings.events) tellPod(event);
  };
  metrics.beforeScrape(() => {
    metrics.set("kiam_sts_cacheSize", {}, sessions.size);
    metrics.set("rolecall_pods", {}, pods.size);
    metrics.set("rolecall_feed_agents", {}, feeds.followers);
  });
  await openProcess({
    settings,
    log,
    metrics,
    version,
    resources,
    health: () => ({ live: true, ready: grants.missing().length === 0, reasons: grants.missing() }),
  });
  resources.use(
    await serveKiam({
      bind: formatAddress(settings.bind),
      tls,
      handlers: kiamHandlers({ grants, sessions, observe: tell }),
      follow: (node, held, stop) => feeds.follow(node, held, stop),
      takeDispute: (node, dispute) => feeds.disputed(node, dispute),
      keepalive: {
        timeMs: settings.grpcKeepaliveTimeDuration,
        timeoutMs: settings.grpcKeepaliveTimeoutDuration,
        idleMs: settings.grpcMaxConnectionIdleDuration,
        ageMs: settings.grpcMaxConnectionAgeDuration,
        ageGraceMs: settings.grpcMaxConnectionAgeGraceDuration,
      },
      clock,
      random,
      signal,
      observe: report.rpc,
    }),
  );

  const watch =
    <T>(
      resource: Resource,
      project: (object: unknown) => T | undefined,
      apply: (change: Change<T>) => void,
    ): Task =>
    (stop) => {
      const path = `/api/v1/${resource}`;
      const open = listWatch({ connection, path, project, clock, observe: report.listWatch });
      const applied = (change: Change<T>): void => {
        apply(change);
        report.changed(resource, clock.now());
      };
      const observe = (event: FollowEvent): void => report.follow(resource, event);
      return follow(open, applied, { clock, random, pause: PAUSE, signal: stop, observe });
    };
  await together(signal, [
    watch("namespaces", projectNamespace, (change) => grants.applyNamespaces(change)),
    watch("pods", projectPod, (change) => grants.applyPods(change)),
    (stop) => sessions.run(stop),
    (stop) => feeds.run(stop),
    (stop) => trusted.run(stop),
    (stop) =>
      settings.roleBaseArn !== "" && !settings.roleBaseArnAutodetect
        ? Promise.resolve(useBaseArn(settings.roleBaseArn))
        : detectBaseArn(
            { sts, log, clock, random, use: (arn) => useBaseArn(baseArnOf(arn)) },
            stop,
          ),
    (stop) => warnOfExpiry({ side: "server", log, metrics }, () => tls.expiresAt, clock, stop),
  ]);
}
