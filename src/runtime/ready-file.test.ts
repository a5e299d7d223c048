import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { FakeClock } from "#test/fake-clock.ts";
import { openReadyFile } from "./ready-file.ts";

const LAUNCHER = new URL("../../images/launcher.c", import.meta.url).pathname;
const skip = spawnSync("gcc", ["--version"]).status === 0 ? false : "needs gcc";

describe("a ready file", { timeout: 20_000 }, () => {
  let folder: string;
  let path: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "rolecall-ready-"));
    path = join(folder, "ready");
  });
  beforeEach(() => rm(path, { force: true }));
  after(() => rm(folder, { recursive: true, force: true }));

  test("says whether the process is ready, and is gone with it", async () => {
    const clock = new FakeClock();
    const health = { live: true, ready: false, reasons: ["no server has answered yet"] };
    const file = await openReadyFile({ path, health: () => health, clock });
    assert.equal(await readFile(path, "utf8"), "no server has answered yet\n");
    health.ready = true;
    await clock.advance(1_000);
    while (clock.sleeping === 0) await clock.advance(0);
    assert.equal(await readFile(path, "utf8"), "ready\n");

    await file[Symbol.asyncDispose]();

    await assert.rejects(stat(path), { code: "ENOENT" });
  });

  test("that can't be written is a wrong setting", async () => {
    const health = () => ({ live: true, ready: true, reasons: [] });
    const options = { path: join(folder, "no", "ready"), health, clock: new FakeClock() };
    await assert.rejects(openReadyFile(options), { code: "invalid_settings", message: /ENOENT/ });
  });

  describe("in the image's probes", { skip }, () => {
    let launcher: string;
    before(() => {
      launcher = join(folder, "rolecall");
      execFileSync("gcc", ["-Wall", "-Werror", "-o", launcher, LAUNCHER]);
    });
    const probe = (name: string): boolean => spawnSync(launcher, [name, path]).status === 0;
    const aged = (seconds: number): Promise<void> => {
      const then = Date.now() / 1_000 - seconds;
      return utimes(path, then, then);
    };

    test("is ready while it says so and is fresh", async () => {
      assert.deepEqual([probe("is-ready"), probe("is-alive")], [false, false]);
      await writeFile(path, "no server has answered yet\n");
      assert.deepEqual([probe("is-ready"), probe("is-alive")], [false, true]);
      await writeFile(path, "ready\n");
      assert.deepEqual([probe("is-ready"), probe("is-alive")], [true, true]);
      await aged(15);
      assert.deepEqual([probe("is-ready"), probe("is-alive")], [false, true]);
      await aged(40);
      assert.deepEqual([probe("is-ready"), probe("is-alive")], [false, false]);
    });
  });
});
