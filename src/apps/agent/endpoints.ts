import { isContainerTarget } from "#core/container/container-answers.ts";
import type { HttpHandler } from "#edges/http/http-message.ts";

/** The endpoints of the agent's one port. Their addresses differ, and so do their paths, which suffice. */
export interface Endpoints {
  readonly container: HttpHandler;
  readonly metadata: HttpHandler;
}

/** Sends each request to the endpoint that it means. */
export function endpoints({ container, metadata }: Endpoints): HttpHandler {
  return (request) => (isContainerTarget(request.target) ? container : metadata)(request);
}
