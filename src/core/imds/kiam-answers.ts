import { AppError } from "../errors.ts";
import type { Credentials } from "../session/credentials.ts";
import { credentialsJson, type MetadataAnswer } from "./answers.ts";

const TEXT = "text/plain; charset=utf-8";

/** A successful answer as Kiam gives it. */
export function kiamText(status: number, body: string): MetadataAnswer {
  return { status, headers: { "Content-Type": TEXT }, body };
}

/** An error as Go's `http.Error` writes it. */
export function kiamError(status: number, message: string): MetadataAnswer {
  const headers = { "Content-Type": TEXT, "X-Content-Type-Options": "nosniff" };
  return { status, headers, body: `${message}\n` };
}

export function kiamCredentials(credentials: Credentials): MetadataAnswer {
  return kiamText(200, credentialsJson(credentials));
}

/** The 301 of a path that is not clean: a location and nothing else. */
export function kiamCleaned(path: string, query: string): MetadataAnswer {
  return { status: 301, headers: { Location: located(path, query) }, body: "" };
}

/** The 301 of the role list without its slash. */
export function kiamRedirect(path: string, query: string): MetadataAnswer {
  const location = located(`${path}/`, query);
  return {
    status: 301,
    headers: { Location: location, "Content-Type": "text/html; charset=utf-8" },
    body: `<a href="${escapeHtml(location)}">Moved Permanently</a>.\n\n`,
  };
}

/** What Kiam answers when the role of a pod cannot be found. */
export function kiamRoleFailure(error: AppError): MetadataAnswer {
  return error.code === "no_role" ? kiamError(404, "empty role") : kiamError(500, rpcText(error));
}

/** What Kiam answers when credentials cannot be had. */
export function kiamCredentialsFailure(error: AppError): MetadataAnswer {
  return kiamError(500, `error fetching credentials: ${credentialsText(error)}`);
}

/** What Kiam answers when a deep health check finds no healthy server. */
export function kiamServerUnhealthy(error: AppError): MetadataAnswer {
  return kiamError(500, rpcText(error));
}

/** What Kiam answers when a health check cannot read the node's metadata. */
export function kiamNodeUnhealthy(error: AppError): MetadataAnswer {
  return kiamError(500, `couldn't read metadata response: ${error.message}`);
}

/** Whether the policy refused, which is the only refusal of credentials after which Kiam does not try again. */
export function isForbidden(error: AppError): boolean {
  return error.code === "namespace_forbids" || error.code === "role_mismatch";
}

function credentialsText(error: AppError): string {
  if (isForbidden(error)) return "forbidden by policy";
  if (error.code === "pod_not_found") return "no pod found";
  return rpcText(error);
}

function rpcText(error: AppError): string {
  switch (error.code) {
    case "pod_not_found":
      return "rpc error: code = Unknown desc = pod not found";
    case "pod_ambiguous":
    case "host_network":
      return "rpc error: code = Unknown desc = multiple running pods found";
    case "no_role":
      return "rpc error: code = Unknown desc = role can't be empty";
    case "server_unavailable":
    case "not_ready":
    case "overloaded":
      return `rpc error: code = Unavailable desc = ${error.message}`;
    default:
      return `rpc error: code = Unknown desc = ${error.message}`;
  }
}

function located(path: string, query: string): string {
  // A header's text: the path was decoded, so it is encoded again.
  const encoded = encodeURI(path);
  return query === "" ? encoded : `${encoded}?${query}`;
}

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
