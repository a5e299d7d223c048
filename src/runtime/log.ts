import { pino } from "pino";
import { LOG_EVENTS, type Level, type LogEventName } from "./log-events.ts";
import { type CleanField, type LogFields, cleanFields } from "./log-fields.ts";

/** Where events are told. */
export interface Log {
  /** Logs one event of the table, with what varies in `fields`. */
  say(event: LogEventName, fields?: LogFields): void;
}

/** How a process logs. */
export interface LogOptions {
  /** JSON lines, or else text as logrus writes it. */
  readonly json: boolean;
  /** The least severe level that is written. */
  readonly level: Level;
  /** Takes one line, its newline included. Standard error when absent. */
  readonly write?: (line: string) => void;
  /** Milliseconds since the Unix epoch. */
  readonly now?: () => number;
}

type Print = (level: Level, message: string, fields: Record<string, CleanField>) => void;

const SEVERITY: Readonly<Record<Level, number>> = { debug: 20, info: 30, warn: 40, error: 50 };

/** The names that are Kiam's (logrus') on the wire. */
const LEVEL_WORD: Readonly<Record<Level, string>> = {
  debug: "debug",
  info: "info",
  warn: "warning",
  error: "error",
};

/** The log of a process. Writing is synchronous, so that the last line before an exit is not lost. */
export function createLog({
  json,
  level,
  write = (line) => void process.stderr.write(line),
  now = Date.now,
}: LogOptions): Log {
  const print = json ? jsonPrinter(write, now) : textPrinter(write, now);
  return {
    say(event, fields = {}) {
      const { level: severity, message } = LOG_EVENTS[event];
      if (SEVERITY[severity] < SEVERITY[level]) return;
      print(severity, message, { event, ...cleanFields(fields) });
    },
  };
}

function jsonPrinter(write: (line: string) => void, now: () => number): Print {
  const printer = pino(
    {
      level: "debug",
      base: null,
      messageKey: "msg",
      timestamp: () => `,"time":"${time(now)}"`,
      formatters: { level: (label) => ({ level: LEVEL_WORD[label as Level] }) },
    },
    { write },
  );
  return (level, message, fields) => {
    printer[level](unreserved(fields), message);
  };
}

/** Fields must not pass for what every line has. */
function unreserved(fields: Record<string, CleanField>): Record<string, CleanField> {
  const safe: Record<string, CleanField> = {};
  for (const [name, value] of Object.entries(fields)) {
    safe[RESERVED.has(name) ? `fields.${name}` : name] = value;
  }
  return safe;
}

const RESERVED = new Set(["level", "msg", "time"]);

function textPrinter(write: (line: string) => void, now: () => number): Print {
  return (level, message, fields) => {
    const pairs = Object.entries(unreserved(fields)).map(
      ([name, value]) => ` ${bare(name)}=${textValue(value)}`,
    );
    write(
      `time="${time(now)}" level=${LEVEL_WORD[level]} msg=${textValue(message)}${pairs.join("")}\n`,
    );
  };
}

/** A name can't hold what would end it. */
function bare(name: string): string {
  return name.replaceAll(/[^\w.@/-]/g, "_");
}

/** As logrus: bare while unmistakable, quoted with escapes otherwise, so that a line stays a line. */
function textValue(value: CleanField): string {
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return /^[\w.@/:^+-]+$/.test(text) ? text : JSON.stringify(text);
}

/** RFC 3339 in whole seconds, as Kiam's lines have it. */
function time(now: () => number): string {
  return new Date(now()).toISOString().replace(/\.\d+Z$/, "Z");
}
