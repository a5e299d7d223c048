import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { parse } from "yaml";
import { AGENT_SETTINGS } from "#apps/agent/settings.ts";
import { SERVER_SETTINGS } from "#apps/server/settings.ts";
import { VERSION } from "#apps/cli/version.ts";
import type { SettingsTable } from "#runtime/settings/setting.ts";

type Values = Readonly<Record<string, unknown>>;

interface Schema {
  readonly $ref?: string;
  readonly additionalProperties?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
}

const chart = (path: string): Promise<string> =>
  readFile(new URL(`../charts/rolecall/${path}`, import.meta.url), "utf8");

const values = parse(await chart("values.yaml")) as Values;
const schema = JSON.parse(await chart("values.schema.json")) as Schema & {
  readonly definitions: Readonly<Record<string, Schema>>;
};
const templates = await Promise.all(
  (await readdir(new URL("../charts/rolecall/templates", import.meta.url))).map(async (name) => ({
    name,
    text: await chart(`templates/${name}`),
  })),
);

test("the chart installs the image of this version", async () => {
  const { version, appVersion } = parse(await chart("Chart.yaml")) as Values;
  assert.deepEqual({ version, appVersion }, { version: VERSION, appVersion: VERSION });
});

const passed: Readonly<Record<string, readonly SettingsTable[]>> = {
  "_helpers.tpl": [AGENT_SETTINGS, SERVER_SETTINGS],
  "agent-daemonset.yaml": [AGENT_SETTINGS],
  "server.yaml": [SERVER_SETTINGS],
};
for (const [name, tables] of Object.entries(passed)) {
  test(`every flag that ${name} passes exists and has an effect`, () => {
    const flags = [...textOf(name).matchAll(/set \$args "([^"]+)"/g)].map(([, flag]) => flag ?? "");
    assert.notEqual(flags.length, 0);
    for (const table of tables) {
      const missing = flags.filter((flag) => table[flag] === undefined || table[flag].ignored);
      assert.deepEqual(missing, []);
    }
  });
}

/** What the templates' variables stand for; some for either part. */
const variables: Readonly<Record<string, readonly (readonly string[])[]>> = {
  ".Values": [[]],
  $agent: [["agent"]],
  $server: [["server"]],
  $values: [["agent"], ["server"]],
  $keepalive: [
    ["agent", "keepaliveParams"],
    ["server", "keepaliveParams"],
  ],
};

test("every value that a template reads has a default in values.yaml", () => {
  const missing = templates.flatMap(({ name, text }) =>
    [...text.matchAll(/(\.Values|\$agent|\$server|\$values|\$keepalive)\.([\w.]+)/g)]
      .filter(([, variable = "", path = ""]) => {
        const keys = path.split(".");
        return !variables[variable]?.some((before) => has(values, [...before, ...keys]));
      })
      .map(([whole]) => `${name}: ${whole}`),
  );
  // What Kiam's template read, beside the key that its values file had.
  assert.deepEqual(missing, ["agent-daemonset.yaml: $keepalive.PermitWithoutStream"]);
});

test("an agent has SYS_ADMIN only where it tests its interception itself", () => {
  const added = [...textOf("agent-daemonset.yaml").matchAll(/^ +add: (.*)$/gm)].map(
    ([, all]) => all,
  );
  assert.deepEqual(added, [
    "[NET_ADMIN, NET_RAW]",
    "[NET_ADMIN, NET_RAW{{ if $testsItself }}, SYS_ADMIN{{ end }}]",
  ]);
});

test("every key of values.yaml is in the schema, which knows no others", () => {
  assert.deepEqual(unknownTo(schema, values, ""), []);
});

function textOf(name: string): string {
  const found = templates.find((template) => template.name === name);
  assert.ok(found, name);
  return found.text;
}

function has(tree: unknown, [key, ...rest]: readonly string[]): boolean {
  if (key === undefined) return true;
  return isTree(tree) && key in tree && has(tree[key], rest);
}

function unknownTo(node: Schema, tree: Values, at: string): string[] {
  const known = resolve(node);
  if (known.properties === undefined) return [];
  const { properties } = known;
  const open = known.additionalProperties === false ? [] : [`${at} is open`];
  const unknown = Object.entries(tree).flatMap(([key, value]) => {
    const next = properties[key];
    if (next === undefined) return [`${at}.${key}`];
    return isTree(value) ? unknownTo(next, value, `${at}.${key}`) : [];
  });
  return [...open, ...unknown];
}

function resolve(node: Schema): Schema {
  const name = node.$ref?.split("/").at(-1);
  return name === undefined ? node : (schema.definitions[name] ?? {});
}

function isTree(value: unknown): value is Values {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
