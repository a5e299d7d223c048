/**
 * What a setting's text is read as. Durations become milliseconds, addresses `{host, port}`, and a list is
 * what stands between commas.
 */
export type SettingKind =
  | "string"
  | "list"
  | "boolean"
  | "duration"
  | "integer"
  | "enum"
  | "file"
  | "regexp"
  | "address";

/** One setting, declared once; flag, help and reference page derive from it. Its flag is its key. */
export interface Setting {
  readonly kind: SettingKind;
  readonly help: string;
  /** The heading under which help and reference list it. */
  readonly section: string;
  /** As it would be written on the command line. Without one, the value may be undefined. */
  readonly default?: string;
  readonly required?: true;
  /** The environment variable that is read when the flag is absent. */
  readonly environment?: string;
  /** The words that are allowed, for `enum`. */
  readonly values?: readonly string[];
  /** Bounds of an integer, or of a duration in milliseconds; both are allowed values. */
  readonly min?: number;
  readonly max?: number;
  /** Older names, accepted with a warning. */
  readonly aliases?: readonly string[];
  /** Accepted and without effect; says why. */
  readonly ignored?: string;
}

/** A process's settings, by flag (without the dashes). */
export type SettingsTable = Readonly<Record<string, Setting>>;

/** A host and a port. An empty host means every interface. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

interface ValueOfKind {
  string: string;
  list: readonly string[];
  boolean: boolean;
  duration: number;
  integer: number;
  enum: string;
  file: string;
  regexp: string;
  address: Address;
}

type ValueOf<S extends Setting> = S extends {
  readonly kind: "enum";
  readonly values: readonly (infer Word)[];
}
  ? Word
  : ValueOfKind[S["kind"]];

type OrUndefined<S extends Setting> = S extends
  | { readonly required: true }
  | { readonly default: string }
  | { readonly kind: "boolean" }
  ? ValueOf<S>
  : ValueOf<S> | undefined;

/** `json-log` is `jsonLog`. */
type CamelCase<Flag extends string> = Flag extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Flag;

type Effective<Table extends SettingsTable> = {
  [
    Flag in keyof Table & string as Table[Flag] extends { readonly ignored: string } ? never : Flag
  ]: Table[Flag];
};

/** What a process is given: one value for each setting that has an effect. */
export type SettingsOf<Table extends SettingsTable> = {
  readonly [Flag in keyof Effective<Table> & string as CamelCase<Flag>]: OrUndefined<
    Effective<Table>[Flag]
  >;
};

/** `json-log` is `jsonLog`, as in {@link SettingsOf}. */
export function camelCase(flag: string): string {
  return flag.replaceAll(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
