import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, test } from "node:test";
import { quietEnvironment } from "#apps/demo/processes.ts";
import { cannotMakeNamespaces } from "#test/namespace.ts";
import type { Outcome, Tally } from "./address-reuse/rounds.ts";

/** Moves of an address in each topology; the long form is 1,000. */
const ROUNDS = Number(process.env["ROLECALL_REUSE_ROUNDS"] ?? "12");
const MS_A_ROUND = 5_000;

const skip = cannotMakeNamespaces();

describe("an address that goes to another pod while the server stands still", { skip }, () => {
  const timeout = 60_000 + ROUNDS * MS_A_ROUND;
  test(
    "never gets what the former pod had, and a dispute is told to its owner",
    { timeout },
    async (t) => {
      const rounds = new URL("./address-reuse/rounds.ts", import.meta.url).pathname;
      // With this process, whatever way it ends, everything in the namespaces ends.
      const own = "--net --mount --pid --fork --kill-child --mount-proc";
      const parameters = [
        ...own.split(" "),
        "sh",
        "-c",
        'mount -t sysfs sysfs /sys && exec "$@"',
        "sh",
        process.execPath,
        rounds,
        String(ROUNDS),
      ];
      const child = spawn("unshare", parameters, {
        stdio: ["ignore", "pipe", "inherit"],
        env: quietEnvironment({}),
        signal: t.signal,
      });
      let said = "";
      child.stdout.on("data", (chunk) => (said += String(chunk)));
      const [code] = (await once(child, "close")) as [number | null];
      assert.equal(code, 0);

      const { tallies, misrecorded } = JSON.parse(said.trim().split("\n").at(-1) ?? "") as Outcome;
      for (const [kind, tally] of Object.entries(tallies)) {
        t.diagnostic(`${kind}: ${report(tally)}`);
        assert.equal(tally.wrong, 0, kind);
        assert.ok(tally.rounds >= ROUNDS / 2, kind);
      }
      assert.equal(misrecorded.status, 500);
      const [[reason, message] = []] = misrecorded.told;
      assert.equal(reason, "RolecallAddressDisputed");
      assert.match(message ?? "", /for another pod than the one that Kubernetes names$/);
    },
  );
});

function report({ rounds, wrong, refused, refusedMsMax, ownAfterMs }: Tally): string {
  const sorted = ownAfterMs.toSorted((a, b) => a - b);
  const at = (part: number): number =>
    Math.round(sorted[Math.floor((sorted.length - 1) * part)] ?? 0);
  return (
    `${rounds} moves, ${wrong} wrong answers, ${refused} refusals of ${Math.round(refusedMsMax)} ms at most; ` +
    `own credentials ${at(0.5)} ms after the server went on (p99 ${at(0.99)} ms, most ${at(1)} ms)`
  );
}
