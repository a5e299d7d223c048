/** gRPC's statuses but `OK`, by the names that its libraries say. */
export const Code = {
  Canceled: 1,
  Unknown: 2,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Aborted: 10,
  OutOfRange: 11,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
  DataLoss: 15,
  Unauthenticated: 16,
} as const;
export type Code = (typeof Code)[keyof typeof Code];

const NAMES = new Map(
  Object.entries(Code).map(([name, code]) => [code, name as keyof typeof Code]),
);

export function codeName(code: Code): keyof typeof Code {
  return NAMES.get(code) ?? "Unknown";
}

/** The code that a peer says; undefined for `OK`. What is no code is `Unknown`, as in other libraries. */
export function codeFrom(text: string): Code | undefined {
  if (text === "0") return undefined;
  const code = Number(text) as Code;
  return NAMES.has(code) ? code : Code.Unknown;
}
