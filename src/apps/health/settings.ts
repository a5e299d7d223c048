import { COMMON_SETTINGS, SERVER_CLIENT_SETTINGS } from "#runtime/settings/common-settings.ts";
import type { SettingsOf, SettingsTable } from "#runtime/settings/setting.ts";

/** Every setting of `rolecall health` (specs: kiam.md §1.6). */
export const HEALTH_SETTINGS = {
  ...COMMON_SETTINGS,
  ...SERVER_CLIENT_SETTINGS,
  timeout: {
    kind: "duration",
    default: "1s",
    min: 1,
    max: 600_000,
    section: "Check",
    help: "How long a healthy answer is waited for, with a try every 100 ms.",
  },
} as const satisfies SettingsTable;

export type HealthSettings = SettingsOf<typeof HEALTH_SETTINGS>;
