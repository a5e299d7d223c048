/**
 * `npm run demo`: the real server and agents as processes against a simulated API server and STS,
 * and applications that use the AWS SDK. No root, no cluster, nothing beyond loopback.
 */
import { once } from "node:events";
import { parseArgs } from "node:util";
import { Report } from "./report.ts";
import { tell } from "./story.ts";
import { startWorld, type World } from "./world.ts";

const { values } = parseArgs({
  options: {
    keep: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (values.help) {
  process.stdout.write(
    "npm run demo [-- --keep] [-- --json]\n  --keep  leave everything running and print what to try\n  --json  one JSON object instead of the story\n",
  );
} else {
  process.exitCode = await demo();
}

async function demo(): Promise<number> {
  const started = performance.now();
  const report = new Report(values.json);
  await using resources = new AsyncDisposableStack();
  const world = await startWorld(resources);
  try {
    await tell(world, report, resources);
  } catch (error) {
    report.state("the story was told to its end", false, String(error));
    for (const line of [world.server, ...world.nodes.map(({ agent }) => agent)]
      .flatMap(({ lines }) => lines)
      .slice(-40)) {
      report.line(line);
    }
  }
  const code = report.close((performance.now() - started) / 1_000);
  if (values.keep) await keep(world);
  return code;
}

async function keep({ nodes }: World): Promise<void> {
  const url = `${nodes[0]?.metadataUrl ?? ""}/latest/meta-data/iam/security-credentials/`;
  process.stdout.write(
    `\nStill running (the server is stopped). As the pod shop/cart:\n  curl --interface 127.0.1.10 ${url}\nCtrl-C ends it.\n`,
  );
  await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
}
