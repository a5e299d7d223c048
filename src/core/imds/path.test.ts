import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { fuzzRuns } from "#test/fuzz-runs.ts";
import { hostileTarget } from "#test/hostile-targets.ts";
import { parsePath } from "./path.ts";

/** What {@link parsePath} is to return, read byte by byte; undefined where it is to refuse. */
function reference(target: string): { readonly path: string; readonly query: string } | undefined {
  const bytes: number[] = [];
  let index = startOfPath(target);
  for (; index < target.length && !"?#".includes(target.charAt(index)); index += 1) {
    if (target[index] !== "%") {
      bytes.push(...Buffer.from(target.charAt(index)));
      continue;
    }
    const [high, low] = [digit(target[index + 1]), digit(target[index + 2])];
    if (high < 0 || low < 0) return undefined;
    bytes.push(high * 16 + low);
    index += 2;
  }
  const text = Buffer.from(bytes).toString("utf8");
  if (!Buffer.from(text).equals(Buffer.from(bytes))) return undefined;
  if (isRefused(text)) return undefined;
  const query = target[index] === "?" ? (target.slice(index + 1).split("#")[0] ?? "") : "";
  return { path: resolved(text), query };
}

function startOfPath(target: string): number {
  for (const scheme of ["http://", "https://"]) {
    if (target.slice(0, scheme.length).toLowerCase() !== scheme) continue;
    let index = scheme.length;
    while (index < target.length && !"/?".includes(target.charAt(index))) index += 1;
    return index;
  }
  return 0;
}

function digit(character = ""): number {
  return character === "" ? -1 : "0123456789abcdef".indexOf(character.toLowerCase());
}

function isRefused(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    const isControl = code < 0x20 || (code >= 0x7f && code < 0xa0);
    if (isControl || code === 0x2028 || code === 0x2029 || ";\\".includes(text.charAt(index))) {
      return true;
    }
    const isEscape =
      text[index] === "%" && digit(text[index + 1]) >= 0 && digit(text[index + 2]) >= 0;
    if (isEscape) return true;
  }
  return false;
}

/** Without empty segments and dots, the one at the end excepted. */
function resolved(text: string): string {
  let path = "";
  let segment = "";
  for (const character of `${text}/`) {
    if (character !== "/") {
      segment += character;
      continue;
    }
    if (segment === "..") path = path.slice(0, Math.max(0, path.lastIndexOf("/")));
    else if (segment !== "" && segment !== ".") path += `/${segment}`;
    segment = "";
  }
  if (path === "") return "/";
  return text.endsWith("/") ? `${path}/` : path;
}

describe("parsePath", () => {
  const refused = [
    "/latest/%2575ser-data",
    "/latest/user-data%00",
    "/latest/user-data%0a",
    "/latest/user-data%3bx",
    "/latest%5cuser-data",
    "/latest/%zz",
  ];
  for (const target of refused) {
    test(`refuses ${target}, which could be read in two ways`, () => {
      assert.equal(parsePath(target).ok, false);
    });
  }

  test("decodes once and normalises before anybody looks", () => {
    const parsed = parsePath("http://169.254.169.254//latest/./x/..//%75ser-data/?a=b");

    assert.deepEqual(parsed, { ok: true, path: "/latest/user-data/", query: "a=b" });
  });

  test("reads each target as one does who reads it byte by byte", () => {
    let read = 0;
    const numRuns = fuzzRuns(3_000);
    fc.assert(
      fc.property(hostileTarget, (target) => {
        const parsed = parsePath(target);
        const expected = reference(target);
        if (expected !== undefined) read += 1;
        assert.deepEqual(
          parsed.ok ? { path: parsed.path, query: parsed.query } : undefined,
          expected,
        );
      }),
      { numRuns },
    );
    assert.ok(read > numRuns / 10 && read < numRuns * 0.9, `${read} of ${numRuns}`);
  });

  test("is its own reading: what it returns is read as itself, or refused", () => {
    fc.assert(
      fc.property(hostileTarget, (target) => {
        const parsed = parsePath(target);
        if (!parsed.ok || /[%?#]/.test(parsed.path)) return;
        assert.deepEqual(parsePath(parsed.path), { ...parsed, query: "" });
      }),
      { numRuns: fuzzRuns(3_000) },
    );
  });
});
