import { STSClient, type STSClientConfig } from "@aws-sdk/client-sts";
import { fromNodeProviderChain, fromTemporaryCredentials } from "@aws-sdk/credential-providers";

export interface StsClientOptions {
  /** `--region`; the SDK's own choice when empty. */
  readonly region: string;
  /** `--sts-endpoint`; the region's own when empty. */
  readonly endpoint: string;
  /** `--assume-role-arn`: assumed first, and renewed by itself; none when empty. */
  readonly assumeRoleArn: string;
  /** The server's own identity; the SDK's default chain when absent. */
  readonly caller?: NonNullable<STSClientConfig["credentials"]>;
}

/** A FIPS region is asked for by its own name or by Kiam's `…-fips`. */
const FIPS = /^fips-|-fips$/;
/** Used where nobody names a region: the SDK needs one to sign, and STS is then `us-east-1`'s. */
const FALLBACK_REGION = "us-east-1";
const CONNECT_MS = 2_000;
const REQUEST_MS = 10_000;

/**
 * The STS client of the server. Endpoints are regional and come from the SDK's partition data; both
 * hops of a chained role use the same region and endpoint. It makes one attempt for each call, since
 * the session table backs off.
 */
export function createStsClient(
  options: StsClientOptions,
  environment: NodeJS.ProcessEnv,
): STSClient {
  const region =
    options.region ||
    environment["AWS_REGION"] ||
    environment["AWS_DEFAULT_REGION"] ||
    FALLBACK_REGION;
  const shared = {
    region: region.replace(FIPS, ""),
    useFipsEndpoint: FIPS.test(region),
    maxAttempts: 1,
    requestHandler: { connectionTimeout: CONNECT_MS, requestTimeout: REQUEST_MS },
    ...(options.endpoint === "" ? {} : { endpoint: options.endpoint }),
  };
  const caller = options.caller ?? fromNodeProviderChain({ clientConfig: shared });
  const credentials =
    options.assumeRoleArn === ""
      ? caller
      : fromTemporaryCredentials({
          masterCredentials: caller,
          clientConfig: shared,
          params: { RoleArn: options.assumeRoleArn, RoleSessionName: "rolecall-server" },
        });
  return new STSClient({ ...shared, credentials });
}
