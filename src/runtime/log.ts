import { LOG_EVENTS, type Level, type LogEventName } from "./log-events.ts";
import { type CleanField, type LogFields, cleanFields } from "./log-fields.ts";
import { type WriteLine, lineOutput } from "./log-output.ts";

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
  /** Standard error when absent. */
  readonly write?: WriteLine;
  /** Milliseconds since the Unix epoch. */
  readonly now?: () => number;
}

type Fields = Record<string, CleanField>;

const SEVERITY: Readonly<Record<Level, number>> = { debug: 20, info: 30, warn: 40, error: 50 };

/** The names that are Kiam's (logrus') on the wire. */
const LEVEL_WORD: Readonly<Record<Level, string>> = {
  debug: "debug",
  info: "info",
  warn: "warning",
  error: "error",
};

/** The log of a process. A line that nobody reads in time is left out, and the next one says how many were. */
export function createLog({ json, level, write = lineOutput(), now = Date.now }: LogOptions): Log {
  const print = json ? jsonLine : textLine;
  let leftOut = 0;

  const put = (event: LogEventName, fields: LogFields): boolean => {
    const { level: severity, message } = LOG_EVENTS[event];
    const line = print(severity, message, { event, ...cleanFields(fields) }, time(now));
    return write(line);
  };
  return {
    say(event, fields = {}) {
      if (SEVERITY[LOG_EVENTS[event].level] < SEVERITY[level]) return;
      if (leftOut > 0 && put("log_lines_left_out", { count: leftOut })) leftOut = 0;
      if (leftOut > 0 || !put(event, fields)) leftOut += 1;
    },
  };
}

function jsonLine(level: Level, message: string, fields: Fields, at: string): string {
  const line = { level: LEVEL_WORD[level], time: at, ...unreserved(fields), msg: message };
  return `${JSON.stringify(line)}\n`;
}

/** Fields must not pass for what every line has. */
function unreserved(fields: Fields): Fields {
  const safe: Fields = {};
  for (const [name, value] of Object.entries(fields)) {
    safe[RESERVED.has(name) ? `fields.${name}` : name] = value;
  }
  return safe;
}

const RESERVED = new Set(["level", "msg", "time"]);

function textLine(level: Level, message: string, fields: Fields, at: string): string {
  const pairs = Object.entries(unreserved(fields)).map(
    ([name, value]) => ` ${bare(name)}=${textValue(value)}`,
  );
  return `time="${at}" level=${LEVEL_WORD[level]} msg=${textValue(message)}${pairs.join("")}\n`;
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
