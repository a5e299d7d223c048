import { cp, rm } from "node:fs/promises";
import { join } from "node:path";

import { writeDockerArchive } from "../../tools/docker-archive.ts";
import { cached, sources } from "./cache.ts";
import { buildClients, keepSts } from "./clients.ts";
import { run } from "./process.ts";
import { go } from "./tools.ts";

/** The image that every pod's sandbox runs. */
const PAUSE_IMAGE = "docker.io/rolecall-test/pause:1";

/** The image with all AWS clients of `clients.ts`, AWS CLI v2 and curl. */
export const CLIENT_IMAGE = "docker.io/rolecall-test/client:1";

const PACKAGES = [
  "python3",
  "python3-cffi-backend",
  "awscli",
  "curl",
  "ca-certificates",
  "libatomic1",
  "iproute2",
];

/** What nodes would only have to unpack. */
const UNUSED = [
  "var/cache/apt/archives",
  "var/lib/apt/lists",
  "usr/share/doc",
  "usr/share/locale",
  "usr/share/man",
];

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
  const clients = await buildClients(signal);
  const debian = await debianRoot(signal);
  const inputs = [debian, process.version, ...clients.values()];
  const folder = await cached("client", inputs, async (output) => {
    const root = join(output, "root");
    await run("cp", ["--archive", debian, root], { signal });
    await cp(process.execPath, join(root, "usr/local/bin/node"), { dereference: true });
    for (const [name, client] of clients) {
      await cp(client, join(root, "opt", name), { recursive: true, verbatimSymlinks: true });
    }
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

/** Debian with the packages that the clients need. */
async function debianRoot(signal: AbortSignal): Promise<string> {
  const folder = await cached("debian", [...PACKAGES, ...UNUSED], async (output) => {
    const root = join(output, "root");
    const include = `--include=${PACKAGES.join(",")}`;
    await run("debootstrap", ["--variant=minbase", include, "bookworm", root], { signal });
    for (const unused of UNUSED) await rm(join(root, unused), { recursive: true });
    await keepSts(join(root, "usr/lib/python3/dist-packages/awscli/botocore/data"));
  });
  return join(folder, "root");
}
