import { chmod, cp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";

import { cached, sources } from "./cache.ts";
import { run } from "./process.ts";
import { go } from "./tools.ts";

const CLIENTS = join(import.meta.dirname, "clients");

/** Builds the client whose source is in `source` into `output`. What it depends on but `source` is written in it. */
type Build = (source: string, output: string, signal: AbortSignal) => Promise<void>;

/**
 * The AWS clients, each built once.
 *
 * @returns the folder of each by its name; what is in it belongs into `/opt/NAME` of the image.
 */
export async function buildClients(signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
  const clients = new Map<string, string>();
  // One after another: each build takes all processors.
  for (const [name, build] of Object.entries(BUILDS)) {
    const source = join(CLIENTS, name);
    const inputs = [build.toString(), ...(await sources(source))];
    const folder = await cached(`client-${name}`, inputs, (output) =>
      build(source, output, signal),
    );
    clients.set(name, folder);
  }
  return clients;
}

const BUILDS: Readonly<Record<string, Build>> = {
  /** The script that runs AWS CLI v1 (from `python`) or v2 (Debian's). */
  cli: async (source, output) => {
    await cp(join(source, "client.sh"), join(output, "client.sh"));
    await chmod(join(output, "client.sh"), 0o755);
  },
  go: async (source, output, signal) => {
    const flags = ["-trimpath", "-ldflags=-s -w", "-o", join(output, "client")];
    await go(["build", ...flags, "."], { cwd: source, signal });
  },
  java: async (source, output, signal) => {
    const plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies";
    const libraries = join(output, "lib");
    const maven = ["--quiet", "--batch-mode", "--file", join(source, "pom.xml"), plugin];
    await run("mvn", [...maven, `-DoutputDirectory=${libraries}`], { signal });
    const compile = ["-classpath", join(libraries, "*"), "-d", join(output, "classes")];
    await run("javac", [...compile, join(source, "Client.java")], { signal });
    const modules = "java.logging,java.management,java.naming,java.sql,java.xml,jdk.crypto.ec";
    const flags = ["--strip-debug", "--no-header-files", "--no-man-pages"];
    const runtime = join(output, "runtime");
    await run("jlink", ["--add-modules", modules, ...flags, "--output", runtime], { signal });
    // Without its archive of classes each start would take a second longer.
    await run(join(runtime, "bin/java"), ["-Xshare:dump"], { signal });
  },
  js: async (source, output, signal) => {
    const esbuild = join(import.meta.dirname, "../../node_modules/.bin/esbuild");
    const flags = ["--bundle", "--platform=node", "--format=esm", "--log-level=warning"];
    // Bundled CommonJS modules ask for Node's own by `require`, which a module does not have by itself.
    const banner =
      "--banner:js=import{createRequire}from'node:module';const require=createRequire(import.meta.url);";
    const outfile = `--outfile=${join(output, "client.mjs")}`;
    await run(esbuild, [join(source, "client.mjs"), ...flags, outfile, banner], { signal });
    await cp(join(source, "only-imdsv1.mjs"), join(output, "only-imdsv1.mjs"));
  },
  python: async (source, output, signal) => {
    const packages = ["boto3==1.44.8", "awscli==1.46.3"];
    // For the Python of the image, whichever one installs it.
    const flags = ["--quiet", "--only-binary=:all:", "--python-version=3.11"];
    const install = ["-m", "pip", "install", ...flags, `--target=${output}`, ...packages];
    await run("python3", install, { signal });
    await rm(join(output, "awscli/examples"), { recursive: true });
    for (const core of ["botocore", "awscli/botocore"]) await keepSts(join(output, core, "data"));
    await cp(join(source, "client.py"), join(output, "client.py"));
  },
  rust: async (source, output, signal) => {
    const target = join(output, "target");
    const flags = ["--release", "--locked", "--quiet", `--target-dir=${target}`];
    await run("nice", ["cargo", "build", ...flags], { cwd: source, signal });
    await rename(join(target, "release/rust-client"), join(output, "client"));
    await rm(target, { recursive: true });
  },
};

/** Leaves of botocore's descriptions of some 400 services that of STS: nodes would only have to unpack the others. */
export async function keepSts(descriptions: string): Promise<void> {
  const files = await readdir(descriptions, { recursive: true, withFileTypes: true });
  for (const { name, parentPath } of files.filter((entry) => entry.isFile())) {
    const [service] = relative(descriptions, parentPath).split("/");
    if (service === "" || service === "sts") continue;
    // AWS CLI wants each service to be there by its name.
    if (name.startsWith("service-2.json")) await writeFile(join(parentPath, name), "{}");
    else await rm(join(parentPath, name));
  }
}
