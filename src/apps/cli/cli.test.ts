import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileSetting } from "#runtime/re2.ts";
import { cli } from "./cli.ts";
import type { CommandContext } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import type { ServerSettings } from "../server/settings.ts";
import type { AgentSettings } from "../agent/settings.ts";
import type { InterceptSettings } from "../intercept/settings.ts";

type Settings = ServerSettings & AgentSettings & InterceptSettings;

/** Runs a command line against a world where the TLS files exist and nothing is started. */
async function call(
  line: string,
  {
    environment = {},
    program = "rolecall",
  }: { environment?: Record<string, string>; program?: string } = {},
) {
  let given: { settings: Settings; context: CommandContext } | undefined;
  const printed = { out: "", err: "" };
  const load = async () => ({
    main: async (settings: never, context: CommandContext) => {
      given = { settings, context };
      return 0;
    },
  });
  const code = await cli(line.split(" ").filter(Boolean), {
    commands: {
      agent: { ...COMMANDS.agent, load },
      "agent intercept": { ...COMMANDS["agent intercept"], load },
      server: { ...COMMANDS.server, load },
      health: { ...COMMANDS.health, load },
    },
    program,
    version: "1.2.3",
    environment,
    compile: compileSetting,
    pathKind: (path) => (path.startsWith("/tls/") ? "file" : "missing"),
    readFile: () => "--level=debug\n",
    out: (text) => (printed.out += text),
    err: (text) => (printed.err += text),
  });
  return { code, ...printed, given };
}

const TLS = "--cert=/tls/cert --key=/tls/key --ca=/tls/ca";

/** Every flag of Kiam v3.6 to v4.2, and the older ones. */
const COMMON = ["json-log", "level", "cert", "key", "ca"];
const TELEMETRY = ["prometheus-listen-addr", "prometheus-sync-interval", "pprof-listen-addr"];
const STATSD = ["statsd", "statsd-prefix", "statsd-interval"];
const CLIENT = [
  "server-address",
  "server-address-refresh",
  "gateway-timeout-creation",
  "grpc-keepalive-time-duration",
  "grpc-keepalive-timeout-duration",
  "grpc-keepalive-permit-without-stream",
  "grpc-keepalive-time-ms",
  "grpc-keepalive-timeout-ms",
];
const FLAGS = {
  agent: [
    ...COMMON,
    ...TELEMETRY,
    ...STATSD,
    ...CLIENT,
    "port",
    "allow-ip-query",
    "allow-route-regexp",
    "whitelist-route-regexp",
    "iptables",
    "iptables-remove",
    "host",
    "host-interface",
  ],
  server: [
    ...COMMON,
    ...TELEMETRY,
    ...STATSD,
    "fetchers",
    "prefetch-buffer-size",
    "bind",
    "kubeconfig",
    "sync",
    "role-base-arn",
    "role-base-arn-autodetect",
    "disable-strict-namespace-regexp",
    "session",
    "session-duration",
    "session-refresh",
    "assume-role-arn",
    "region",
    "grpc-keepalive-time-duration",
    "grpc-keepalive-timeout-duration",
    "grpc-max-connection-idle-duration",
    "grpc-max-connection-age-duration",
    "grpc-max-connection-age-grace-duration",
  ],
  health: [...COMMON, ...CLIENT, "timeout"],
};

describe("help", () => {
  for (const [command, flags] of Object.entries(FLAGS)) {
    test(`of ${command} names every flag that Kiam has`, async () => {
      for (const line of [`${command} --help`, `help ${command}`]) {
        const { code, out } = await call(line);
        assert.equal(code, 0);
        const missing = flags.filter((flag) => !new RegExp(`--(?:\\[no-\\])?${flag}\\b`).test(out));
        assert.deepEqual(missing, []);
      }
    });
  }
});

describe("a command line", () => {
  test("of Kiam's chart starts the agent", async () => {
    const { code, err, given } = await call(
      `agent --no-iptables-remove --host-interface=cali+ --json-log --level=info --port=8181 ${TLS} --server-address=kiam-server:443 --prometheus-listen-addr=0.0.0.0:9620 --prometheus-sync-interval=5s --allow-route-regexp=^/latest/ --gateway-timeout-creation=1s --iptables`,
      { environment: { HOST_IP: "10.0.0.1" }, program: "kiam" },
    );
    assert.deepEqual([code, err], [0, ""]);
    assert.equal(given?.settings.host, "10.0.0.1");
    assert.equal(given?.settings.port, 8181);
    assert.equal(given?.settings.iptablesRemove, false);
    assert.deepEqual(given?.settings.serverAddress, { host: "kiam-server", port: 443 });
  });

  test("of Kiam's manifests starts the server", async () => {
    const { code, err, given } = await call(
      `server --json-log --level=warn --bind=0.0.0.0:443 ${TLS} --role-base-arn-autodetect --sync=1m --prometheus-listen-addr=0.0.0.0:9620 --prometheus-sync-interval=5s --session-duration=15m --assume-role-arn=arn:aws:iam::123456789012:role/kiam-server`,
    );
    assert.deepEqual([code, err], [0, ""]);
    assert.equal(given?.settings.sessionDuration, 900_000);
    assert.equal(given?.settings.roleBaseArnAutodetect, true);
  });

  test("may name the server's role as pods name theirs", async () => {
    const base = "--role-base-arn=arn:aws:iam::123456789012:role/";
    const { err, given } = await call(`server ${TLS} ${base} --assume-role-arn=kiam-server`);
    assert.equal(err, "");
    assert.equal(given?.settings.assumeRoleArn, "kiam-server");
  });

  test("with Kiam v3's flags works and says so", async () => {
    const { code, given } = await call(
      `agent ${TLS} --host=10.0.0.1 --whitelist-route-regexp=^/x --grpc-keepalive-time-ms=5s --statsd=localhost:8125`,
    );
    assert.equal(code, 0);
    assert.equal(given?.settings.allowRouteRegexp, "^/x");
    assert.equal(given?.settings.grpcKeepaliveTimeDuration, 5_000);
    assert.ok((given?.context.warnings.length ?? 0) >= 3);
  });

  test("reads a list from between commas, and an empty one", async () => {
    const audiences = async (flag: string) =>
      (await call(`server ${TLS} ${flag}`)).given?.settings.containerTokenAudience;
    assert.deepEqual(await audiences(""), ["rolecall", "pods.eks.amazonaws.com"]);
    assert.deepEqual(await audiences("--container-token-audience=a,b"), ["a", "b"]);
    assert.deepEqual(await audiences("--container-token-audience=,"), []);
  });

  test("reads a file of flags", async () => {
    const { given } = await call(`agent ${TLS} --host=a @flags`);
    assert.equal(given?.settings.level, "debug");
  });

  test("may name a command in two words", async () => {
    const { given } = await call("agent intercept --interception=nft --host=a --remove");
    assert.deepEqual([given?.settings.interception, given?.settings.remove], ["nft", true]);
    assert.match((await call("help agent intercept")).out, /usage: rolecall agent intercept/);
  });

  test("leaves interception in place unless it is told otherwise", async () => {
    assert.equal((await call(`agent ${TLS} --host=a`)).given?.settings.iptablesRemove, false);
    const told = await call(`agent ${TLS} --host=a --iptables-remove`);
    assert.equal(told.given?.settings.iptablesRemove, true);
  });

  const refused = [
    { line: "nope", says: 'expected command but got "nope"' },
    { line: "--bogus", says: "unknown long flag '--bogus'" },
    { line: "agent --bogus", says: "unknown long flag '--bogus'" },
    { line: "agent", says: "required flag --cert not provided" },
    { line: `agent ${TLS}`, says: "required flag --host not provided" },
    { line: `agent ${TLS} --host=a --iptables=true`, says: "unexpected true" },
    { line: `agent ${TLS} --host=a --port=1 --port=2`, says: "flag 'port' cannot be repeated" },
    {
      line: `agent ${TLS} --host=a --gateway-timeout-creation=5`,
      says: 'time: missing unit in duration "5"',
    },
    {
      line: `agent ${TLS} --host=a --port=x`,
      says: 'strconv.ParseFloat: parsing "x": invalid syntax',
    },
    {
      line: `agent ${TLS} --host=a --level=trace`,
      says: "enum value must be one of debug,info,warn,error, got 'trace'",
    },
    { line: "agent --cert=/nope", says: "path '/nope' does not exist" },
    { line: `agent ${TLS} --host=a --allow-route-regexp=(`, says: "error parsing regexp" },
    {
      line: `server ${TLS} --session-duration=5m`,
      says: "session-duration should be at least 15 minutes",
    },
    {
      line: `server ${TLS} --session-duration=15m --session-refresh=15m`,
      says: "must be less than session-duration (15m), or sessions would never be renewed: leave it out, or set it to 7m30s",
    },
    { line: `agent ${TLS} --host=a --port=65536`, says: "--port must be at most 65535, got 65536" },
    { line: `agent ${TLS} --host=a --port=-1`, says: "--port must be at least 0, got -1" },
    {
      line: `agent ${TLS} --host=a --grpc-keepalive-time-duration=1ms`,
      says: "--grpc-keepalive-time-duration must be at least 100ms, got 1ms",
    },
    {
      line: `agent ${TLS} --host=a --server-address=kiam-server`,
      says: "address 'kiam-server' is not host:port",
    },
    {
      line: `agent ${TLS} --host=a --whitelist-route-regexp=a --allow-route-regexp=b`,
      says: "flag 'allow-route-regexp' cannot be repeated",
    },
    {
      line: `agent ${TLS} --host=a --iptables --no-iptables`,
      says: "flag 'iptables' cannot be repeated",
    },
    {
      line: `agent ${TLS} --host=a --port=81 --prometheus-listen-addr=:81`,
      says: "must have different ports",
    },
    { line: "agent --cert=/tls/cert --key", says: "expected argument for flag '--key'" },
    { line: `agent ${TLS} --host=a -p`, says: "unknown short flag '-p'" },
    { line: `health ${TLS} --timeout=0s`, says: "--timeout must be at least 1ms, got 0s" },
    { line: `health ${TLS} --host=a`, says: "unknown long flag '--host'" },
    { line: `server ${TLS} --fetchers=0`, says: "--fetchers must be at least 1, got 0" },
    {
      line: `server ${TLS} --session-duration=13h`,
      says: "session-duration should be at most 12 hours",
    },
    {
      line: `server ${TLS} --session-refresh=2h`,
      says: "session-refresh (2h) must be less than session-duration (1h), or sessions would never be renewed: leave it out, or set it to 30m",
    },
    {
      line: `server ${TLS} --assume-role-arn=kiam-server`,
      says: "assume-role-arn 'kiam-server' is not a role: expected arn:aws:iam::<12-digit account>:role/<name>, or a name where --role-base-arn is given",
    },
    { line: `server ${TLS} --assume-role-arn=arn:x`, says: "'arn:x' is not a role" },
    {
      line: `server ${TLS} --role-base-arn=arn:aws:iam::1:role`,
      says: "is not a prefix of role ARNs",
    },
  ];
  for (const { line, says } of refused) {
    test(`is refused: ${line}`, async () => {
      const { code, err, given } = await call(line, { program: "kiam" });
      assert.equal(code, 1);
      assert.equal(given, undefined);
      assert.ok(err.includes(says), err);
      assert.match(err, /^kiam: error: .*, try --help\n$/);
    });
  }
});
