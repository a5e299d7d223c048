import { join } from "node:path";
import { build, type Metafile, type Plugin } from "esbuild";

const ROOT = join(import.meta.dirname, "..");

/** The processes, each a bundle of its own: `rolecall.cjs` loads the one that its command needs. */
export const PROCESSES = ["agent", "intercept", "server", "health"] as const;
export type ProcessName = (typeof PROCESSES)[number];

/** Leaves the processes' code out of the command line's bundle. */
const APART: Plugin = {
  name: "processes-apart",
  setup(building) {
    building.onResolve(
      { filter: /^\.\.\/(?:agent|intercept|server|health)\/main\.ts$/ },
      ({ path }) => ({
        path: `./${path.split("/")[1]}.cjs`,
        external: true,
      }),
    );
  },
};

/**
 * Bundles the program into `folder`, one CommonJS file a process: as modules the same code would
 * load all of Node's fetch with the first `node:http`.
 */
export async function bundle(
  folder: string,
): Promise<Readonly<Record<ProcessName | "rolecall", Metafile>>> {
  const one = async (name: string, entry: string, plugins: Plugin[] = []): Promise<Metafile> => {
    const { metafile } = await build({
      entryPoints: [join(ROOT, "src/apps", entry, "main.ts")],
      outfile: join(folder, `${name}.cjs`),
      bundle: true,
      platform: "node",
      format: "cjs",
      target: "node26",
      minifySyntax: true,
      metafile: true,
      logLevel: "warning",
      absWorkingDir: ROOT,
      plugins,
    });
    return metafile;
  };
  const [agent, intercept, server, health] = await Promise.all(
    PROCESSES.map((name) => one(name, name)),
  );
  const rolecall = await one("rolecall", "cli", [APART]);
  if (!agent || !intercept || !server || !health) throw new Error("a bundle was not built");
  return { agent, intercept, server, health, rolecall };
}
