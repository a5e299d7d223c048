import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { quietEnvironment, stopChild } from "./processes.ts";

/** What an application learned when it asked STS who it is. */
export interface WhoAmI {
  readonly arn?: string;
  readonly error?: string;
  readonly ms: number;
}

/** One application in one pod. */
export interface PodProcess extends AsyncDisposable {
  whoAmI(): Promise<WhoAmI>;
}

/** What an application finds in its environment: where to get credentials. */
export type CredentialsEnvironment =
  | { readonly AWS_EC2_METADATA_SERVICE_ENDPOINT: string }
  | {
      readonly AWS_CONTAINER_CREDENTIALS_FULL_URI: string;
      readonly AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: string;
    };

/** Starts an application that reaches its endpoint from `address`. */
export function startPod(
  address: string,
  environment: CredentialsEnvironment,
  stsUrl: string,
): PodProcess {
  const script = new URL("./pod-process.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, [script, address, stsUrl], {
    stdio: ["pipe", "pipe", "inherit"],
    env: {
      ...quietEnvironment({}),
      AWS_EC2_METADATA_DISABLED: "false",
      ...environment,
    },
  });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async whoAmI() {
      child.stdin.write("\n");
      const { value, done } = await answers.next();
      if (done === true) throw new Error(`the application at ${address} ended`);
      return JSON.parse(value) as WhoAmI;
    },
    [Symbol.asyncDispose]: () => stopChild(child),
  };
}
