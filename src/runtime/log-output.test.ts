import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";

import { lineOutput } from "./log-output.ts";
import { createLog } from "./log.ts";

const PIPE_BYTES = 65_536;

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "rolecall-log-"));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

/** A pipe, and what reads all that is in it. */
function pipe(t: TestContext): { readonly path: string; readonly read: () => string } {
  const path = join(folder(t), "pipe");
  execFileSync("mkfifo", [path]);
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  t.after(() => closeSync(fd));
  const buffer = Buffer.alloc(4 * PIPE_BYTES);
  return { path, read: () => buffer.toString("utf8", 0, readSync(fd, buffer)) };
}

describe("a log that nobody reads", () => {
  test("is not waited for, and says how many lines were left out once it is read again", (t) => {
    const { path, read } = pipe(t);
    const log = createLog({ json: true, level: "info", write: lineOutput(path) });
    for (let line = 0; line < 5_000; line += 1) log.say("listening", { port: line });

    const before = lines(read());
    assert.ok(before.length < 5_000);
    log.say("listening", { port: 5_000 });
    const [leftOut, after, ...more] = lines(read());

    assert.equal(leftOut?.["event"], "log_lines_left_out");
    assert.equal(before.length + Number(leftOut?.["count"]), 5_000);
    assert.deepEqual([after?.["port"], more], [5_000, []]);
  });

  test("keeps a line whole of which only a part found room", (t) => {
    const { path, read } = pipe(t);
    const write = lineOutput(path);
    const long = `${"x".repeat(PIPE_BYTES + 1_000)}\n`;

    assert.equal(write(long), true);
    assert.equal(write("next\n"), false);
    const first = read();
    assert.equal(write("next\n"), true);
    assert.equal(first + read(), `${long}next\n`);
  });
});

test("a log in a file goes on after what is there", (t) => {
  const path = join(folder(t), "log");
  writeFileSync(path, "before\n");
  const write = lineOutput(path);

  assert.equal(write("after\n"), true);
  assert.equal(readFileSync(path, "utf8"), "before\nafter\n");
});

function lines(text: string): Record<string, unknown>[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
