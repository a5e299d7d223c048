import type { IncomingMessage, ServerResponse } from "node:http";
import { Session } from "node:inspector/promises";
import { pipeline } from "node:stream/promises";
import { getHeapSnapshot } from "node:v8";
import type { Clock } from "#core/clock.ts";
import { type Listener, listenForOperators, sendText } from "./admin-listener.ts";
import type { Address } from "./settings/setting.ts";
import { systemClock } from "./system-clock.ts";

/** As Go's: what a CPU profile takes when nothing is said. The most keeps its memory bounded. */
const PROFILE_SECONDS = 30;
const PROFILE_SECONDS_MAX = 60;

const INDEX = `/debug/pprof/profile?seconds=30  CPU profile (.cpuprofile, at most ${PROFILE_SECONDS_MAX} s)
/debug/pprof/heap                heap snapshot (.heapsnapshot); on a loopback address only,
                                 because it holds the credentials that the process holds
`;

/**
 * Serves a CPU profile and a heap snapshot, one at a time, for the developer tools of a browser.
 *
 * @throws {AppError} `invalid_settings` when the address cannot be listened on.
 */
export function servePprof({
  address,
  shared,
  clock = systemClock,
}: {
  readonly address: Address;
  /** Lets another process of the same user listen there too. */
  readonly shared?: boolean | undefined;
  readonly clock?: Clock;
}): Promise<Listener> {
  let busy = false;
  const alone = async (response: ServerResponse, work: () => Promise<void>): Promise<void> => {
    if (busy) {
      sendText(response, 429, "a profile is being taken, try again later\n");
      return;
    }
    busy = true;
    try {
      await work();
    } finally {
      busy = false;
    }
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", "http://localhost");
    switch (url.pathname) {
      case "/debug/pprof/profile":
        await alone(response, () => profile(url, response, clock));
        break;
      case "/debug/pprof/heap":
        if (isLoopback(request.socket.localAddress ?? "")) {
          await alone(response, () => heap(response));
        } else {
          sendText(
            response,
            403,
            "heap snapshots hold credentials: listen on 127.0.0.1 for them\n",
          );
        }
        break;
      case "/debug/pprof/":
      case "/debug/pprof":
        sendText(response, 200, INDEX);
        break;
      default:
        sendText(response, 404, "see /debug/pprof/\n");
    }
  };
  return listenForOperators({ flag: "pprof-listen-addr", address, shared }, answer);
}

async function profile(url: URL, response: ServerResponse, clock: Clock): Promise<void> {
  const seconds = Number(url.searchParams.get("seconds") ?? PROFILE_SECONDS);
  if (!(seconds > 0 && seconds <= PROFILE_SECONDS_MAX)) {
    sendText(response, 400, `seconds must be more than 0 and at most ${PROFILE_SECONDS_MAX}\n`);
    return;
  }
  const gone = new AbortController();
  response.once("close", () => gone.abort(new Error("the client went away")));
  const session = new Session();
  session.connect();
  try {
    await session.post("Profiler.enable");
    await session.post("Profiler.start");
    await clock.sleep(seconds * 1_000, gone.signal);
    const { profile } = await session.post("Profiler.stop");
    sendFile(response, "rolecall.cpuprofile");
    response.end(JSON.stringify(profile));
  } finally {
    session.disconnect();
  }
}

async function heap(response: ServerResponse): Promise<void> {
  sendFile(response, "rolecall.heapsnapshot");
  await pipeline(getHeapSnapshot(), response);
}

function sendFile(response: ServerResponse, name: string): void {
  response.writeHead(200, {
    "content-type": "application/json",
    "content-disposition": `attachment; filename="${name}"`,
    "cache-control": "no-store",
  });
}

function isLoopback(address: string): boolean {
  return address === "::1" || /^(?:::ffff:)?127\./.test(address);
}
