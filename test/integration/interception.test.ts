import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test, type TestContext } from "node:test";
import { quietEnvironment, ROLECALL } from "#apps/demo/processes.ts";
import { createAuthority, writeTlsFolder } from "#test/certificates.ts";

const RULE =
  "-A PREROUTING -d 169.254.169.254/32 -i cali+ -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:8181";

/** Runs a command, hands it the signal to stop, and lists the rules that it leaves behind. */
const SCRIPT = `"$@" & child=$!
trap 'kill -TERM $child' TERM
wait $child; wait $child; echo "exit $?"
iptables -t nat -S PREROUTING`;

const { status } = spawnSync("unshare", ["-n", "iptables", "-t", "nat", "-S"]);
const skip = status === 0 ? false : "needs root, unshare and iptables";

describe(
  "an agent that intercepts, in a network of its own without a server",
  { skip, timeout: 60_000 },
  () => {
    let folder: string;
    let tls: readonly string[];
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), "rolecall-rule-"));
      const authority = await createAuthority();
      const pair = await authority.issue({ names: ["agent"] });
      const files = await writeTlsFolder(join(folder, "tls"), { ...pair, ca: [authority.cert] });
      tls = [`--cert=${files.cert}`, `--key=${files.key}`, `--ca=${files.ca}`];
    });
    after(() => rm(folder, { recursive: true, force: true }));

    /** What an agent says, in order, that is told to stop once it has said `until`; then the rules. */
    async function run(
      t: TestContext,
      flags: readonly string[],
      until: RegExp,
    ): Promise<readonly string[]> {
      const agent = [
        ...ROLECALL,
        "agent",
        ...tls,
        "--port=8181",
        "--host-interface=cali+",
        ...flags,
      ];
      const child = spawn("unshare", ["-n", "sh", "-c", SCRIPT, "sh", ...agent], {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...quietEnvironment({}), HOST_IP: "10.0.0.1" },
        detached: true,
      });
      // The whole group, so that a test that fails leaves no agent behind.
      const kill = (): void => void process.kill(-(child.pid ?? 0), "SIGKILL");
      t.signal.addEventListener("abort", kill);
      const lines: string[] = [];
      const told = { is: false };
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on("line", (line) => {
          lines.push(line);
          if (told.is || !until.test(line)) return;
          told.is = true;
          child.kill("SIGTERM");
        });
      }
      await once(child, "close");
      t.signal.removeEventListener("abort", kill);
      return lines;
    }

    const at = (lines: readonly string[], pattern: RegExp): number =>
      lines.findIndex((line) => pattern.test(line));

    test("has the rule before it listens, stays up, and leaves the rule when it stops", async (t) => {
      const lines = await run(t, ["--iptables"], /server cannot be reached/);

      assert.ok(at(lines, /interception rules were added/) >= 0, lines.join("\n"));
      assert.ok(at(lines, /interception rules were added/) < at(lines, /msg="?listening/));
      assert.ok(at(lines, /interception rules are kept/) >= 0);
      assert.deepEqual(lines.slice(-3), ["exit 0", "-P PREROUTING ACCEPT", RULE]);
    });

    test("takes the rule away only when it was told to", async (t) => {
      const lines = await run(t, ["--iptables", "--iptables-remove"], /msg="?listening/);
      assert.deepEqual(lines.slice(-2), ["exit 0", "-P PREROUTING ACCEPT"]);
    });

    test("leaves the rule when it can't start", async (t) => {
      const flags = ["--iptables", "--ready-file=/nowhere/ready"];
      const lines = await run(t, flags, /never/);
      assert.match(lines.join("\n"), /fatal error/);
      assert.deepEqual(lines.slice(-3), ["exit 1", "-P PREROUTING ACCEPT", RULE]);
    });

    test("touches no rule when it was not asked to intercept", async (t) => {
      const lines = await run(t, ["--iptables-remove"], /msg="?listening/);
      assert.deepEqual(lines.slice(-2), ["exit 0", "-P PREROUTING ACCEPT"]);
    });
  },
);
