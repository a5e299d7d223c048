import { join, relative } from "node:path";
import { build, type Metafile, type Plugin } from "esbuild";

const ROOT = join(import.meta.dirname, "..");

/** The processes, each a bundle of its own: `rolecall.cjs` loads the one that its command needs. */
export const PROCESSES = ["agent", "intercept", "server", "health"] as const;
export type ProcessName = (typeof PROCESSES)[number];

/** What is loaded only when it is needed, by the name of its bundle. */
const APART: ReadonlyMap<string, string> = new Map([
  ...PROCESSES.map((name) => [`src/apps/${name}/main.ts`, name] as const),
  ["src/runtime/re2-engine.ts", "re2-engine"],
]);

/** Leaves what is imported later, and has a bundle of its own, out of the bundle that imports it. */
const LATER: Plugin = {
  name: "later",
  setup(building) {
    building.onResolve({ filter: /\.ts$/ }, ({ path, kind, resolveDir }) => {
      if (kind !== "dynamic-import") return undefined;
      const name = APART.get(relative(ROOT, join(resolveDir, path)));
      return name === undefined ? undefined : { path: `./${name}.cjs`, external: true };
    });
  },
};

/**
 * Bundles the program into `folder`, one CommonJS file a process: as modules the same code would
 * load all of Node's fetch with the first `node:http`.
 */
export async function bundle(
  folder: string,
): Promise<Readonly<Record<ProcessName | "rolecall", Metafile>>> {
  const one = async (name: string, entry: string): Promise<Metafile> => {
    const { metafile } = await build({
      entryPoints: [join(ROOT, entry)],
      outfile: join(folder, `${name}.cjs`),
      bundle: true,
      platform: "node",
      format: "cjs",
      target: "node26",
      minifySyntax: true,
      // Becomes require(): Node's loader of modules would take part in loading CommonJS otherwise.
      supported: { "dynamic-import": false },
      metafile: true,
      logLevel: "warning",
      absWorkingDir: ROOT,
      plugins: [LATER],
    });
    return metafile;
  };
  const rolecall = await one("rolecall", "src/apps/cli/main.ts");
  const built = await Promise.all(
    Array.from(APART, async ([entry, name]) => [name, await one(name, entry)] as const),
  );
  return { ...(Object.fromEntries(built) as Record<ProcessName, Metafile>), rolecall };
}
