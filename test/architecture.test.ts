import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";

/**
 * What each part of `src` may import besides itself; the longest prefix counts, and what is not
 * listed is refused. A package or builtin is named as it is imported.
 */
const MAY_IMPORT: Readonly<Record<string, readonly RegExp[]>> = {
  "src/core": [],
  "src/runtime": [/^src\/core/, /^node:/, /^re2js$/],
  "src/edges/aws": [/^src\/core/, /^@aws-sdk\/(?:client-sts|credential-providers)$/],
  "src/edges/crypto": [/^src\/core/, /^node:crypto$/],
  "src/edges/http": [/^src\/core/, /^node:(?:http|net|events|timers\/promises)$/],
  "src/edges/kubernetes": [/^src\/core/, /^node:/, /^yaml$/],
  "src/edges/linux": [/^src\/core/, /^node:/],
  "src/edges/rpc": [/^src\/core/, /^node:/, /^@connectrpc\//, /^@bufbuild\/protobuf/],
  "src/apps": [/^src\/(?:core|edges|runtime|apps)/, /^node:/],
  "src/apps/server": [/^src\/(?:core|edges|runtime|apps)/, /^node:/, /^@aws-sdk\/client-sts$/],
  // The demo plays the world around Rolecall with the simulators of the tests.
  "src/apps/demo": [/^node:/, /^test\/support/, /^@aws-sdk\//],
};

/** Who may know the time, chance or the environment by themselves. */
const MAY_BE_IMPURE = /^src\/(?:runtime\/|apps\/[^/]+\/main\.ts$|apps\/demo\/)/;
const IMPURE = /\b(?:Date\.now|Math\.random|process\.env|setTimeout|setInterval)\b/;

const SPECIFIER = /(?:\bfrom|\bimport)\s*\(?\s*["'](?<specifier>[^"'\s$]+)["']/g;

function partOf(file: string): string {
  const parts = Object.keys(MAY_IMPORT).filter((part) => file.startsWith(`${part}/`));
  return parts.toSorted((a, b) => b.length - a.length)[0] ?? "nowhere";
}

function target(specifier: string, file: string): string {
  if (specifier.startsWith("#test/")) return specifier.replace("#test/", "test/support/");
  if (specifier.startsWith("#")) return specifier.replace("#", "src/");
  return specifier.startsWith(".") ? join(dirname(file), specifier) : specifier;
}

describe("architecture", () => {
  const files = globSync("src/**/*.ts").filter((file) => !file.endsWith(".test.ts"));

  test("there are sources to check", () => assert.ok(files.length > 80));

  test("every file imports only what its part may", () => {
    const refused = files.flatMap((file) => {
      const part = partOf(file);
      return [...readFileSync(file, "utf8").matchAll(SPECIFIER)]
        .map((match) => target(match.groups?.["specifier"] ?? "", file))
        .filter((to) => !to.startsWith(`${part}/`))
        .filter((to) => !(MAY_IMPORT[part] ?? []).some((allowed) => allowed.test(to)))
        .map((to) => `${file} → ${to}`);
    });
    assert.deepEqual(refused, []);
  });

  test("time, chance and the environment are handed in", () => {
    const found = files
      .filter((file) => !MAY_BE_IMPURE.test(file))
      .filter((file) => IMPURE.test(withoutComments(readFileSync(file, "utf8"))));
    assert.deepEqual(found, []);
  });
});

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
}
