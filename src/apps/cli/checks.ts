import { resolveRole } from "#core/role/resolve-role.ts";
import { formatDuration } from "#runtime/settings/duration.ts";
import type { AgentSettings } from "../agent/settings.ts";
import type { ServerSettings } from "../server/settings.ts";
import type { CrossCheck } from "./command.ts";

const LEAST_MS = 900_000;
const MOST_MS = 43_200_000;

/** The agent's rules about several settings at once. */
export function checkAgent(settings: AgentSettings): CrossCheck {
  const { port } = settings;
  const problems: string[] = [];
  // The kernel would not mind: an agent shares its ports with the one that follows it.
  const ports = [port, settings.prometheusListenAddr?.port, settings.pprofListenAddr?.port];
  const given = ports.filter((one) => one !== undefined && one !== 0);
  if (new Set(given).size < given.length) {
    problems.push("port, prometheus-listen-addr and pprof-listen-addr must have different ports");
  }
  return { problems, warnings: [] };
}

/** The server's rules about several settings at once (specs: kiam.md §1.5). */
export function checkServer(settings: ServerSettings): CrossCheck {
  const { sessionDuration, sessionRefresh, assumeRoleArn, roleBaseArn } = settings;
  const problems: string[] = [];
  const warnings: string[] = [];
  if (sessionDuration < LEAST_MS) problems.push("session-duration should be at least 15 minutes");
  if (sessionDuration > MOST_MS) problems.push("session-duration should be at most 12 hours");
  if (sessionRefresh !== undefined && sessionRefresh >= sessionDuration) {
    problems.push(
      `session-refresh (${formatDuration(sessionRefresh)}) must be less than session-duration (${formatDuration(sessionDuration)}), or sessions would never be renewed: leave it out, or set it to ${formatDuration(sessionDuration / 2)}`,
    );
  }
  if (assumeRoleArn !== "" && sessionDuration > 3_600_000) {
    warnings.push(
      "STS allows at most 1h for roles that are assumed from --assume-role-arn; --session-duration is longer",
    );
  }
  if (roleBaseArn !== "" && !/^arn:aws[a-z-]*:iam::\d{12}:role\/(?:.*\/)?$/.test(roleBaseArn)) {
    problems.push(
      `role-base-arn '${roleBaseArn}' is not a prefix of role ARNs: expected arn:aws:iam::<12-digit account>:role/ with the slash at its end`,
    );
  }
  if (assumeRoleArn !== "" && !isRole(assumeRoleArn, roleBaseArn)) {
    problems.push(
      `assume-role-arn '${assumeRoleArn}' is not a role: expected arn:aws:iam::<12-digit account>:role/<name>, or a name where --role-base-arn is given`,
    );
  }
  return { problems, warnings };
}

function isRole(text: string, baseArn: string): boolean {
  try {
    resolveRole(text, baseArn);
    return true;
  } catch {
    return false;
  }
}
