/**
 * `npm run image`: writes `dist/image.tar`, a docker archive that needed neither an engine nor a
 * registry. It holds Node, the bundles, iptables, the libraries of both, and CA roots: no shell.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { cp, mkdir, readFile, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { bundle } from "./bundle.ts";

const ROOT = join(import.meta.dirname, "..");
const DIST = join(ROOT, "dist");
const FILES = join(DIST, "rootfs");
const NAME = "rolecall:test";

const run = async (command: string, args: readonly string[]): Promise<string> =>
  (await promisify(execFile)(command, args)).stdout;

await rm(FILES, { recursive: true, force: true });
await bundle(join(FILES, "opt/rolecall"));
await copy(process.execPath, "usr/local/bin/node");
await run("strip", [join(FILES, "usr/local/bin/node")]);
await copyIptables();
await copy("/etc/ssl/certs/ca-certificates.crt", "etc/ssl/certs/ca-certificates.crt");
await copyLauncher();
await writeAccounts();
const { bytes, digest } = await writeArchive();
process.stdout.write(
  `dist/image.tar holds ${NAME}: ${(bytes / 1e6).toFixed(1)} MB, layer sha256:${digest}\n`,
);

/** Copies a file and, for a program, the libraries that the loader would give it. */
async function copy(from: string, to: string): Promise<void> {
  const target = join(FILES, to);
  await mkdir(dirname(target), { recursive: true });
  await cp(await realpath(from), target);
  const listed = await run("ldd", [from]).catch(() => "");
  for (const [library] of listed.matchAll(/\/\S+/g)) {
    const place = join(FILES, library);
    await mkdir(dirname(place), { recursive: true });
    await cp(await realpath(library), place);
  }
}

async function copyIptables(): Promise<void> {
  const program = "/usr/sbin/xtables-nft-multi";
  await stat(program).catch((cause: unknown) => {
    throw new Error(`${program} is missing: install the package iptables`, { cause });
  });
  await copy(program, program);
  await symlink("xtables-nft-multi", join(FILES, "usr/sbin/iptables"));
  const extensions = (await run("find", ["/usr/lib", "-type", "d", "-name", "xtables"])).trim();
  await cp(extensions, join(FILES, extensions), { recursive: true });
}

async function copyLauncher(): Promise<void> {
  await run("gcc", [
    "-static",
    "-Os",
    "-s",
    "-o",
    join(FILES, "usr/local/bin/rolecall"),
    join(ROOT, "images/launcher.c"),
  ]);
  // Kiam's manifests call it so.
  await symlink("/usr/local/bin/rolecall", join(FILES, "kiam"));
}

async function writeAccounts(): Promise<void> {
  const passwd = "root:x:0:0:root:/:/nologin\nrolecall:x:65532:65532:rolecall:/:/nologin\n";
  await writeFile(join(FILES, "etc/passwd"), passwd);
  await writeFile(join(FILES, "etc/group"), "root:x:0:\nrolecall:x:65532:\n");
  await writeFile(join(FILES, "etc/nsswitch.conf"), "hosts: files dns\n");
  for (const folder of ["tmp", "run"]) await mkdir(join(FILES, folder), { mode: 0o777 });
}

async function writeArchive(): Promise<{ bytes: number; digest: string }> {
  const tar = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];
  const layer = join(DIST, "layer.tar");
  await run("tar", [...tar, "-cf", layer, "-C", FILES, "."]);
  const digest = await sha256(layer);
  const config = {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: {
      Env: [
        "PATH=/usr/local/bin:/usr/sbin:/usr/bin",
        "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
      ],
      Cmd: ["rolecall"],
      WorkingDir: "/",
    },
    rootfs: { type: "layers", diff_ids: [`sha256:${digest}`] },
  };
  await writeFile(join(DIST, "config.json"), JSON.stringify(config));
  const manifest = [{ Config: "config.json", RepoTags: [NAME], Layers: ["layer.tar"] }];
  await writeFile(join(DIST, "manifest.json"), JSON.stringify(manifest));
  const archive = join(DIST, "image.tar");
  await run("tar", [
    ...tar,
    "-cf",
    archive,
    "-C",
    DIST,
    "manifest.json",
    "config.json",
    "layer.tar",
  ]);
  await rm(layer);
  return { bytes: (await readFile(archive)).length, digest };
}

async function sha256(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}
