import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";

export interface DockerArchive {
  /** The file to write. */
  readonly archive: string;
  /** The folder that becomes the image's one layer, owned by root. */
  readonly root: string;
  /** `name:tag` */
  readonly name: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  /** `NAME=value` */
  readonly environment: readonly string[];
}

/** The same files give the same bytes. */
const REPRODUCIBLE = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];

/**
 * Writes an image as `docker load` and `ctr images import` read it, with neither engine nor registry.
 *
 * @returns the layer's digest, `sha256:…`.
 */
export async function writeDockerArchive(options: DockerArchive): Promise<string> {
  const { archive, root, name, entrypoint = [], command = [], environment } = options;
  const parts = `${archive}.parts`;
  await mkdir(parts, { recursive: true });
  const layer = join(parts, "layer.tar");
  await tar(layer, root, ["."]);
  const digest = `sha256:${await sha256(layer)}`;
  const config = {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: { Entrypoint: entrypoint, Cmd: command, Env: environment, WorkingDir: "/" },
    rootfs: { type: "layers", diff_ids: [digest] },
  };
  await writeFile(join(parts, "config.json"), JSON.stringify(config));
  const manifest = [{ Config: "config.json", RepoTags: [name], Layers: ["layer.tar"] }];
  await writeFile(join(parts, "manifest.json"), JSON.stringify(manifest));
  await tar(archive, parts, ["manifest.json", "config.json", "layer.tar"]);
  await rm(parts, { recursive: true });
  return digest;
}

async function tar(file: string, folder: string, names: readonly string[]): Promise<void> {
  await promisify(execFile)("tar", [...REPRODUCIBLE, "-cf", file, "-C", folder, ...names]);
}

async function sha256(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}
