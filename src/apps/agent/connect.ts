import type { Clock, Random } from "#core/clock.ts";
import { type KiamServers, kiamServers } from "#edges/rpc/kiam-client.ts";
import { type TlsFiles, type TlsFilesEvent, watchTlsFiles } from "#edges/rpc/tls-files.ts";
import type { KiamClientEvent } from "#edges/rpc/rpc-event.ts";
import { formatAddress } from "#runtime/settings/address.ts";
import type { COMMON_SETTINGS, SERVER_CLIENT_SETTINGS } from "#runtime/settings/common-settings.ts";
import type { SettingsOf } from "#runtime/settings/setting.ts";

export interface ConnectOptions {
  readonly settings: SettingsOf<typeof SERVER_CLIENT_SETTINGS & typeof COMMON_SETTINGS>;
  readonly report: {
    readonly rpc: (event: KiamClientEvent) => void;
    readonly tls: (event: TlsFilesEvent) => void;
  };
  readonly clock: Clock;
  readonly random: Random;
  /** Ends all connections when it aborts. */
  readonly signal: AbortSignal;
}

/**
 * Reads the TLS files and begins to connect to the servers, which is not waited for.
 *
 * @throws {AppError} `invalid_settings` when the files or the address can't be read.
 */
export async function connect({
  settings,
  report,
  ...shared
}: ConnectOptions): Promise<{ readonly tls: TlsFiles; readonly servers: KiamServers }> {
  const tls = await watchTlsFiles({ ...settings, ...shared, observe: report.tls });
  const servers = kiamServers({
    address: formatAddress(settings.serverAddress),
    tls,
    keepalive: {
      timeMs: settings.grpcKeepaliveTimeDuration,
      timeoutMs: settings.grpcKeepaliveTimeoutDuration,
      permitWithoutStream: settings.grpcKeepalivePermitWithoutStream,
    },
    connectMs: settings.gatewayTimeoutCreation,
    ...shared,
    observe: report.rpc,
  });
  return { tls, servers };
}
