import { cp, rm } from "node:fs/promises";
import { join } from "node:path";

import { writeDockerArchive } from "../../tools/docker-archive.ts";
import { cached, sources } from "./cache.ts";
import { run } from "./process.ts";
import { go } from "./tools.ts";

/** The image that every pod's sandbox runs. */
const PAUSE_IMAGE = "docker.io/rolecall-test/pause:1";

/** The image with all clients: boto3, AWS CLI, JavaScript v3, Go v2, curl. */
export const CLIENT_IMAGE = "docker.io/rolecall-test/client:1";

const PACKAGES = [
  "python3",
  "python3-boto3",
  "python3-cffi-backend",
  "awscli",
  "curl",
  "ca-certificates",
  "libatomic1",
  "iproute2",
];
const CLIENTS = join(import.meta.dirname, "clients");

/** Docker archives of the images that the suite itself brings, built once. */
export async function prepareImages(signal: AbortSignal): Promise<readonly string[]> {
  return [await pauseImage(signal), await clientImage(signal)];
}

async function pauseImage(signal: AbortSignal): Promise<string> {
  const module = join(import.meta.dirname, "pause");
  const folder = await cached("pause", await sources(module), async (output) => {
    const root = join(output, "root");
    await go(["build", "-trimpath", "-ldflags=-s -w", "-o", join(root, "pause"), "."], {
      cwd: module,
      signal,
    });
    await writeDockerArchive({
      archive: join(output, "image.tar"),
      root,
      name: PAUSE_IMAGE,
      entrypoint: ["/pause"],
      environment: [],
    });
  });
  return join(folder, "image.tar");
}

async function clientImage(signal: AbortSignal): Promise<string> {
  const inputs = [...PACKAGES, process.version, ...(await sources(CLIENTS))];
  const folder = await cached("client", inputs, async (output) => {
    const root = join(output, "root");
    await run(
      "debootstrap",
      ["--variant=minbase", `--include=${PACKAGES.join(",")}`, "bookworm", root],
      { signal },
    );
    await rm(join(root, "var/cache/apt/archives"), { recursive: true });
    await rm(join(root, "var/lib/apt/lists"), { recursive: true });
    await cp(process.execPath, join(root, "usr/local/bin/node"), { dereference: true });
    await bundleClient(join(root, "opt/client.mjs"), signal);
    await go(
      ["build", "-trimpath", "-ldflags=-s -w", "-o", join(root, "usr/local/bin/go-client"), "."],
      {
        cwd: CLIENTS,
        signal,
      },
    );
    await cp(join(CLIENTS, "client.py"), join(root, "opt/client.py"));
    await writeDockerArchive({
      archive: join(output, "image.tar"),
      root,
      name: CLIENT_IMAGE,
      environment: ["PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"],
    });
    await rm(root, { recursive: true });
  });
  return join(folder, "image.tar");
}

async function bundleClient(output: string, signal: AbortSignal): Promise<void> {
  const esbuild = join(import.meta.dirname, "../../node_modules/.bin/esbuild");
  const flags = [
    "--bundle",
    "--platform=node",
    "--format=esm",
    `--outfile=${output}`,
    "--log-level=warning",
  ];
  // Bundled CommonJS modules ask for Node's own by `require`, which a module does not have by itself.
  const banner =
    "--banner:js=import{createRequire}from'node:module';const require=createRequire(import.meta.url);";
  await run(esbuild, [join(CLIENTS, "client.mjs"), ...flags, banner], { signal });
}
