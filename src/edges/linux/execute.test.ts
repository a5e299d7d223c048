import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { executeFile } from "./execute.ts";

const never = new AbortController().signal;
const says = (bytes: number): Promise<unknown> =>
  executeFile(process.execPath, ["--eval", `process.stdout.write("a".repeat(${bytes}))`], never);

describe("executeFile", { timeout: 20_000 }, () => {
  test("returns all that a program says on a node with a thousand routing rules", async () => {
    const stdout = "a".repeat(200_000);
    assert.deepEqual(await says(200_000), { status: 0, stdout, stderr: "" });
  });

  test("ends a program that says more than it may, and does not call it slow", async () => {
    await assert.rejects(says(2_000_000), { code: "ERR_CHILD_PROCESS_STDIO_MAXBUFFER" });
  });
});
