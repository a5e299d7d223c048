import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import { AppError } from "#core/errors.ts";
import { asRecord, asText, type JsonRecord } from "#core/json.ts";
import { Secret } from "#core/secret.ts";
import type { Identity } from "./identity.ts";

/** What a kubeconfig file says about its current context. */
export interface Kubeconfig {
  readonly server: URL;
  readonly insecure: boolean;
  readonly serverName: string | undefined;
  /** Reads the files that the file refers to. */
  readonly readIdentity: (read: (path: string) => Promise<string>) => Promise<Identity>;
}

/**
 * Reads a kubeconfig file's text. Paths in it are relative to the folder of `path`.
 *
 * @throws {AppError} `invalid_settings` for what can't be used; its contents are never quoted.
 */
export function parseKubeconfig(text: string, path: string): Kubeconfig {
  const refuse = (why: string): AppError =>
    new AppError("invalid_settings", `Cannot use kubeconfig ${path}: ${why}`);
  let file: JsonRecord;
  try {
    file = asRecord(parse(text, { maxAliasCount: 0 }));
  } catch {
    // The parser's message quotes the file, which may hold secrets.
    throw refuse("it is not YAML");
  }
  const contextName = asText(file["current-context"]);
  if (contextName === "") throw refuse("current-context is not set");
  const named = (list: string, name: string, field: string): JsonRecord => {
    const entries: unknown = file[list];
    const found = Array.isArray(entries)
      ? entries.map(asRecord).find((entry) => entry["name"] === name)
      : undefined;
    if (found === undefined) throw refuse(`${list} has no ${JSON.stringify(name)}`);
    return asRecord(found[field]);
  };
  const context = named("contexts", contextName, "context");
  const cluster = named("clusters", asText(context["cluster"]), "cluster");
  const user =
    asText(context["user"]) === "" ? {} : named("users", asText(context["user"]), "user");
  for (const plugin of ["exec", "auth-provider"]) {
    if (user[plugin] !== undefined && user[plugin] !== null) {
      throw refuse(
        `its user needs the plugin ${JSON.stringify(plugin)}, which Rolecall does not run; use a token, tokenFile or client certificate`,
      );
    }
  }
  const server = URL.parse(asText(cluster["server"]));
  if (server === null || !/^https?:$/.test(server.protocol)) {
    throw refuse("the cluster's server is not an http or https URL");
  }
  return {
    server,
    insecure: cluster["insecure-skip-tls-verify"] === true,
    serverName: asText(cluster["tls-server-name"]) || undefined,
    readIdentity: (read) =>
      readIdentity(cluster, user, (file) => read(resolve(dirname(path), file))),
  };
}

async function readIdentity(
  cluster: JsonRecord,
  user: JsonRecord,
  read: (path: string) => Promise<string>,
): Promise<Identity> {
  /** Data in the file wins over a path, as in kubectl. */
  const pem = async (from: JsonRecord, field: string): Promise<string | undefined> => {
    const data = asText(from[`${field}-data`]);
    if (data !== "") return Buffer.from(data, "base64").toString("utf8");
    const file = asText(from[field]);
    return file === "" ? undefined : read(file);
  };
  const tokenFile = asText(user["tokenFile"]);
  const token = tokenFile === "" ? asText(user["token"]) : (await read(tokenFile)).trim();
  const key = await pem(user, "client-key");
  return {
    token: token === "" ? undefined : new Secret(token),
    authority: await pem(cluster, "certificate-authority"),
    certificate: await pem(user, "client-certificate"),
    key: key === undefined ? undefined : new Secret(key),
  };
}
