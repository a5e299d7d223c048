import type { InterceptionEvent } from "#edges/linux/interception-rules.ts";
import type { Log } from "#runtime/log.ts";

/** Says what happens to the rules. */
export function reportInterception(log: Log, event: InterceptionEvent): void {
  switch (event.type) {
    case "present":
      log.say("interception_present");
      break;
    case "added":
      log.say("interception_added");
      break;
    case "restored":
      log.say("interception_restored");
      break;
    case "removed":
      log.say("interception_removed");
      break;
    case "bridges_open":
      log.say("interception_bridges_open", { reason: event.reason });
      break;
    case "unwatched":
      log.say("interception_unwatched", { reason: event.reason });
      break;
    case "failed":
      log.say("interception_failed", { error: event.error });
      break;
    case "proved":
      log.say("interception_proved", { duration: Math.round(event.ms) });
      break;
    case "unproved":
      log.say("interception_unproved", { reason: event.found.join(", ") });
      break;
    case "unprovable":
      log.say("interception_unprovable", { reason: event.reason });
      break;
  }
}
