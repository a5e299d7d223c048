import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { referencePages } from "../tools/reference-pages.ts";
import { VERSION } from "#apps/cli/version.ts";

for (const [name, text] of Object.entries(referencePages())) {
  test(`docs/reference/${name} is what the tables say; npm run reference brings it up to date`, async () => {
    const url = new URL(`../docs/reference/${name}`, import.meta.url);
    assert.equal(await readFile(url, "utf8"), text);
  });
}

test("the program's version is the package's", async () => {
  const text = await readFile(new URL("../package.json", import.meta.url), "utf8");
  assert.equal((JSON.parse(text) as { version: string }).version, VERSION);
});
