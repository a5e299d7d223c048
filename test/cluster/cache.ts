import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

/** Where what is built or downloaded for the suite stays between runs. */
export const CACHE = process.env["ROLECALL_CACHE"] ?? join(homedir(), ".cache", "rolecall");

/**
 * Returns the folder that `build` fills, built only when `inputs` were never seen before.
 *
 * A build that fails leaves nothing behind: the folder gets its name when it is complete.
 */
export async function cached(
  name: string,
  inputs: readonly string[],
  build: (folder: string) => Promise<void>,
): Promise<string> {
  const digest = createHash("sha256").update(inputs.join("\0")).digest("hex").slice(0, 16);
  const folder = join(CACHE, `${name}-${digest}`);
  if (await exists(folder)) return folder;

  const started = performance.now();
  const unfinished = `${folder}.${process.pid}`;
  await mkdir(unfinished, { recursive: true });
  try {
    await build(unfinished);
    await rename(unfinished, folder);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  console.log(`built ${name} in ${((performance.now() - started) / 1_000).toFixed(1)} s`);
  return folder;
}

/** The texts of a folder's own files, each after its name: what a build of that folder depends on. */
export async function sources(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
  const texts = names
    .toSorted()
    .map(async (name) => [name, await readFile(join(folder, name), "utf8")]);
  return (await Promise.all(texts)).flat();
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
