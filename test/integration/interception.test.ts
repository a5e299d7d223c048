import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ROLECALL } from "#apps/demo/processes.ts";
import { createAuthority, writeTlsFolder } from "#test/certificates.ts";
import { cannotMakeNamespaces, Namespace } from "#test/namespace.ts";

const RULE =
  "-A PREROUTING -d 169.254.169.254/32 -i cali+ -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:8181";

const skip = cannotMakeNamespaces("iptables");

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

    /** What an agent says, in order, that is told to stop once it has said `until`; then its exit code, and the rules. */
    async function run(flags: readonly string[], until: RegExp): Promise<readonly string[]> {
      await using network = await Namespace.open();
      const own = ["--port=8181", "--host-interface=cali+", ...flags];
      const command = [...ROLECALL, "agent", ...own];
      const { child, lines, ended } = network.start(command, { HOST_IP: "10.0.0.1" });
      while (child.exitCode === null && !lines.some((line) => until.test(line))) await sleep(20);
      child.kill("SIGTERM");
      const code = await ended;
      const rules = network.run("iptables -t nat -S PREROUTING").trim().split("\n");
      return [...lines, `exit ${code}`, ...rules];
    }

    const at = (lines: readonly string[], pattern: RegExp): number =>
      lines.findIndex((line) => pattern.test(line));

    test("has the rule before it listens, stays up, and leaves the rule when it stops", async () => {
      const lines = await run([...tls, "--iptables"], /server cannot be reached/);

      assert.ok(at(lines, /interception rules were added/) >= 0, lines.join("\n"));
      assert.ok(at(lines, /interception rules were added/) < at(lines, /msg="?listening/));
      assert.ok(at(lines, /interception rules are kept/) >= 0);
      assert.deepEqual(lines.slice(-3), ["exit 0", "-P PREROUTING ACCEPT", RULE]);
    });

    test("takes the rule away only when it was told to", async () => {
      const lines = await run([...tls, "--iptables", "--iptables-remove"], /msg="?listening/);
      assert.deepEqual(lines.slice(-2), ["exit 0", "-P PREROUTING ACCEPT"]);
    });

    for (const [why, flags] of [
      ["its ready file has no folder", () => [...tls, "--ready-file=/nowhere/ready"]],
      ["there is no authority in its file", () => [...tls.slice(0, 2), "--ca=/dev/null"]],
    ] as const) {
      test(`leaves the rule when it can't start: ${why}`, async () => {
        const lines = await run(["--iptables", ...flags()], /never/);
        assert.match(lines.join("\n"), /fatal error/);
        assert.deepEqual(lines.slice(-3), ["exit 1", "-P PREROUTING ACCEPT", RULE]);
      });
    }

    test("touches no rule when it was not asked to intercept", async () => {
      const lines = await run([...tls, "--iptables-remove"], /msg="?listening/);
      assert.deepEqual(lines.slice(-2), ["exit 0", "-P PREROUTING ACCEPT"]);
    });
  },
);
