/**
 * `npm run image`: writes `dist/image.tar`, a docker archive that needed neither an engine nor a
 * registry. It holds Node, the bundles, iptables, nft and ip, the libraries of all, and CA roots: no shell.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { bundle } from "./bundle.ts";
import { writeDockerArchive } from "./docker-archive.ts";

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
await copyInterception();
await copy("/etc/ssl/certs/ca-certificates.crt", "etc/ssl/certs/ca-certificates.crt");
await copyLauncher();
await copyProbe();
await writeAccounts();
const archive = join(DIST, "image.tar");
const digest = await writeDockerArchive({
  archive,
  root: FILES,
  name: NAME,
  command: ["rolecall"],
  environment: [
    "PATH=/usr/local/bin:/usr/sbin:/usr/bin",
    "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
  ],
});
const { size } = await stat(archive);
process.stdout.write(
  `dist/image.tar holds ${NAME}: ${(size / 1e6).toFixed(1)} MB, layer ${digest}\n`,
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

/** What each way of interception runs. */
async function copyInterception(): Promise<void> {
  const packages = {
    "/usr/sbin/xtables-nft-multi": "iptables",
    "/usr/sbin/nft": "nftables",
    "/usr/sbin/ip": "iproute2",
  };
  for (const [program, name] of Object.entries(packages)) {
    await stat(program).catch((cause: unknown) => {
      throw new Error(`${program} is missing: install the package ${name}`, { cause });
    });
    await copy(program, program);
  }
  await symlink("xtables-nft-multi", join(FILES, "usr/sbin/iptables"));
  const extensions = (await run("find", ["/usr/lib", "-type", "d", "-name", "xtables"])).trim();
  await cp(extensions, join(FILES, extensions), { recursive: true });
}

/** What the self-test of interception asks with. */
async function copyProbe(): Promise<void> {
  const program = join(DIST, "interception-probe");
  const source = join(ROOT, "images/interception-probe.c");
  await run("gcc", ["-Os", "-s", "-o", program, source]);
  await copy(program, "usr/local/bin/interception-probe");
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
