import type { Clock, Random } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import type { AddressDispute } from "#core/feed/address-dispute.ts";
import { AskedTable, type AskedTableEvent } from "#core/feed/asked-table.ts";
import { disputeReports } from "#core/feed/dispute-reports.ts";
import { type AnswerSource, NodeTable } from "#core/feed/node-table.ts";
import type { Places } from "#core/feed/places.ts";
import { PodTable } from "#core/feed/pod-table.ts";
import { disputeReporter } from "#edges/rpc/dispute-reporter.ts";
import { FeedFollower } from "#edges/rpc/feed-follower.ts";
import type { KiamServers } from "#edges/rpc/kiam-client.ts";
import type { FollowerEvent } from "#edges/rpc/rpc-event.ts";
import { type Task, together } from "#runtime/together.ts";

export interface WayOfDataOptions {
  /** The own node's name; empty where it is not known, and then there is no feed to follow. */
  readonly node: string;
  readonly version: string;
  readonly servers: Pick<
    KiamServers,
    "role" | "credentials" | "mindful" | "health" | "lines" | "lastError"
  >;
  readonly places: Pick<Places, "ownerOf" | "compare" | "confirm" | "learn" | "stands">;
  readonly clock: Clock;
  readonly random: Random;
  /** Ends what is done beside `run`. */
  readonly signal: AbortSignal;
  readonly report: {
    readonly asked: (event: AskedTableEvent) => void;
    readonly answer: (source: AnswerSource) => void;
    readonly feed: (event: FollowerEvent) => void;
    readonly dispute: (dispute: AddressDispute) => void;
  };
}

const SWEEP_EVERY_MS = 30_000;
const HEALTHY_MS = 5_000;
const UNHEALTHY_MS = 500;

/** The servers' feed → pod table → node table, and the servers themselves where they have no feed. */
export function wayOfData(options: WayOfDataOptions) {
  const { node, servers, places, clock, report } = options;
  const pods = new PodTable();
  pods.onMoved((moved) => places.learn(moved));
  const asked = new AskedTable({ ask: servers, clock, observe: report.asked });
  const follower =
    node === ""
      ? undefined
      : new FeedFollower({ ...options, lines: servers.lines, table: pods, observe: report.feed });
  const isInSync = (): boolean => follower?.state === "in-sync";
  const table = new NodeTable({
    pods,
    isInSync,
    places,
    server: servers.mindful,
    asked,
    clock,
    observe: report.answer,
  });

  const reportToServer = disputeReports({
    ...options,
    stands: (dispute) => places.stands(dispute),
    send: disputeReporter(node, () => follower?.link),
  });

  let unhealthy: string | undefined = "no server has answered yet";
  const ask: Task = async (stop) => {
    for (;;) {
      if (!isInSync()) unhealthy = await whyUnhealthy(servers, stop);
      await clock.sleep(unhealthy === undefined ? HEALTHY_MS : UNHEALTHY_MS, stop);
    }
  };
  const sweep: Task = async (stop) => {
    for (;;) {
      await clock.sleep(SWEEP_EVERY_MS, stop);
      asked.sweep();
    }
  };
  return {
    pods,
    table,
    isInSync,
    /** A dispute has begun. */
    disputed(dispute: AddressDispute): void {
      report.dispute(dispute);
      reportToServer(dispute);
    },
    /** Why the agent can't answer for a pod that it has not seen yet; undefined when it can. */
    unreadiness(): string | undefined {
      if (follower === undefined || follower.state === "unoffered") return unhealthy;
      if (follower.state === "in-sync") return undefined;
      return servers.lastError ?? "no server's feed is in sync";
    },
    run: (signal: AbortSignal): Promise<void> =>
      together(signal, [
        ask,
        sweep,
        ...(follower === undefined ? [] : [follower.run.bind(follower)]),
      ]),
  };
}

async function whyUnhealthy(
  servers: WayOfDataOptions["servers"],
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    await servers.health(signal);
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    return servers.lastError ?? AppError.from(error).message;
  }
}
