import { join } from "node:path";

import { cached, sources } from "./cache.ts";
import { ENVIRONMENT, run } from "./process.ts";

const KUBERNETES = "v1.37.2";
const COREDNS = "v1.12.4";
const HELM = "v4.3.1";
const MOTO = "moto[server]==5.1.16";

/** The programs that a cluster is made of, by the path of each. */
export interface Tools {
  readonly kube: string;
  readonly coredns: string;
  readonly helm: string;
  /** A Python in which moto is installed. */
  readonly motoPython: string;
}

/** Finds the cluster's programs, and builds those that were not built yet: minutes the first time. */
export async function prepareTools(signal: AbortSignal): Promise<Tools> {
  await run(join(import.meta.dirname, "setup.sh"), [], { signal });
  // One after another: each build takes all processors.
  const kube = await buildKube(signal);
  const coredns = await install(`github.com/coredns/coredns@${COREDNS}`, "coredns", signal);
  const helm = await install(`helm.sh/helm/v4/cmd/helm@${HELM}`, "helm", signal);
  return { kube, coredns, helm, motoPython: await installMoto(signal) };
}

async function buildKube(signal: AbortSignal): Promise<string> {
  const module = join(import.meta.dirname, "kube");
  const flags = `-s -w -X k8s.io/component-base/version.gitVersion=${KUBERNETES}`;
  const folder = await cached("kube", [flags, ...(await sources(module))], async (output) => {
    await go(["build", "-trimpath", `-ldflags=${flags}`, "-o", join(output, "kube"), "."], {
      cwd: module,
      signal,
    });
  });
  return join(folder, "kube");
}

async function install(from: string, name: string, signal: AbortSignal): Promise<string> {
  const folder = await cached(name, [from], async (output) => {
    await go(["install", "-trimpath", "-ldflags=-s -w", from], { env: { GOBIN: output }, signal });
  });
  return join(folder, name);
}

async function installMoto(signal: AbortSignal): Promise<string> {
  const folder = await cached("moto", [MOTO], async (output) => {
    await run("python3", ["-m", "venv", output], { signal });
    await run(join(output, "bin", "python"), ["-m", "pip", "install", "--quiet", MOTO], { signal });
  });
  return join(folder, "bin", "python");
}

interface GoOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
}

/** Runs Go without C, so that what it builds runs in any image. */
export async function go(args: readonly string[], { env, ...options }: GoOptions): Promise<void> {
  await run("nice", ["go", ...args], {
    ...options,
    env: { ...ENVIRONMENT, CGO_ENABLED: "0", ...env },
  });
}
