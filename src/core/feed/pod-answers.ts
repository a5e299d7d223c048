import type { Credentials } from "../session/credentials.ts";

/**
 * What a server says of the pod at an address: the same three times, as the agent's table asks it, as the
 * client carries it and as the server answers it. `podUid` is the pod that the node gave the address to,
 * where that is known. Both throw AppError: a refusal, or `server_unavailable` when no server answers.
 */
export interface PodAnswers {
  /** The role as annotated; empty when the pod names none. */
  role(address: string, signal: AbortSignal, podUid?: string): Promise<string>;
  credentials(
    address: string,
    role: string,
    signal: AbortSignal,
    podUid?: string,
  ): Promise<Credentials>;
}
