import { readFile as readFileFromDisk } from "node:fs/promises";
import type { Clock } from "#core/clock.ts";
import { AppError } from "#core/errors.ts";
import { Secret } from "#core/secret.ts";
import { HttpConnection } from "./http-connection.ts";
import { Identities } from "./identity.ts";
import { parseKubeconfig } from "./kubeconfig.ts";
import type { KubernetesConnection } from "./request.ts";

export type { KubernetesConnection } from "./request.ts";

/** Reads a text file. */
export type ReadText = (path: string) => Promise<string>;

const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

export interface InClusterOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly readFile?: ReadText;
  /** Where the service account's token and authority are mounted. */
  readonly folder?: string;
}

/**
 * The API server as a pod reaches it, with the pod's own service account.
 *
 * @throws {AppError} `invalid_settings` outside a pod, or without a service account.
 */
export async function inClusterConnection({
  environment,
  clock,
  readFile = readText,
  folder = SERVICE_ACCOUNT,
}: InClusterOptions): Promise<KubernetesConnection> {
  const host = environment["KUBERNETES_SERVICE_HOST"] ?? "";
  const port = environment["KUBERNETES_SERVICE_PORT"] ?? "";
  if (host === "" || !/^\d{1,5}$/.test(port)) {
    throw new AppError(
      "invalid_settings",
      "Cannot find the Kubernetes API server: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set as in a pod; give --kubeconfig instead",
    );
  }
  const server = new URL(`https://${host.includes(":") ? `[${host}]` : host}:${port}`);
  const identities = new Identities(
    async () => ({
      token: new Secret((await readSetting(readFile, `${folder}/token`)).trim()),
      authority: await readSetting(readFile, `${folder}/ca.crt`),
      certificate: undefined,
      key: undefined,
    }),
    clock,
  );
  await identities.current();
  return new HttpConnection({ server, identities });
}

export interface KubeconfigOptions {
  readonly clock: Clock;
  readonly readFile?: ReadText;
}

/**
 * The API server that the kubeconfig file's current context names.
 *
 * @throws {AppError} `invalid_settings` for a file that can't be read or used.
 */
export async function kubeconfigConnection(
  path: string,
  { clock, readFile = readText }: KubeconfigOptions,
): Promise<KubernetesConnection> {
  const read = (file: string): Promise<string> => readSetting(readFile, file);
  const { server, insecure, serverName, readIdentity } = parseKubeconfig(await read(path), path);
  const identities = new Identities(() => readIdentity(read), clock);
  await identities.current();
  return new HttpConnection({ server, identities, insecure, serverName });
}

async function readSetting(readFile: ReadText, path: string): Promise<string> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new AppError("invalid_settings", `Cannot read ${path}`, { cause });
  }
}

function readText(path: string): Promise<string> {
  return readFileFromDisk(path, "utf8");
}
