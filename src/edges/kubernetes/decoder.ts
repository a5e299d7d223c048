import { AppError } from "#core/errors.ts";
import { asList, asRecord, asText } from "#core/json.ts";

/** A page of a list as it came. */
export interface RawPage {
  readonly items: readonly unknown[];
  readonly resourceVersion: string;
  /** Where the next page starts; empty on the last. */
  readonly continueToken: string;
}

/** One frame of a watch as it came. */
export interface RawFrame {
  readonly type: string;
  readonly object: unknown;
}

/** Turns the API server's bytes into objects. JSON now; protobuf has the same shape. */
export interface Decoder {
  /** The media type to ask for. */
  readonly accept: string;
  /** @throws {AppError} `kubernetes_unavailable` for what can't be read. */
  page(body: AsyncIterable<Buffer>): Promise<RawPage>;
  /** @throws {AppError} `kubernetes_unavailable` for what can't be read. */
  frames(body: AsyncIterable<Buffer>): AsyncIterable<RawFrame>;
}

/** A page of 500 pods has 4 MB, or 25 MB where objects are large. */
const PAGE_BYTES_MAX = 64 * 1024 * 1024;
/** etcd holds no object of more than 1.5 MiB; JSON makes it larger. */
const LINE_BYTES_MAX = 4 * 1024 * 1024;
const NEWLINE = 0x0a;

/** The JSON form: a page is one document, a watch is one document a line. */
export function jsonDecoder(lineBytesMax = LINE_BYTES_MAX): Decoder {
  return {
    accept: "application/json",
    async page(body) {
      const page = asRecord(parseJson(await readAll(body, PAGE_BYTES_MAX)));
      const metadata = asRecord(page["metadata"]);
      const resourceVersion = asText(metadata["resourceVersion"]);
      if (!("items" in page) || resourceVersion === "")
        throw unreadable("a list without its fields");
      return {
        items: asList(page["items"]),
        resourceVersion,
        continueToken: asText(metadata["continue"]),
      };
    },
    async *frames(body) {
      for await (const line of linesOf(body, lineBytesMax)) {
        const frame = asRecord(parseJson(line));
        yield { type: asText(frame["type"]), object: frame["object"] };
      }
    },
  };
}

/**
 * The whole body as one buffer.
 *
 * @throws {AppError} `kubernetes_unavailable` beyond `bytesMax`.
 */
export async function readAll(body: AsyncIterable<Buffer>, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw unreadable(`more than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function* linesOf(body: AsyncIterable<Buffer>, bytesMax: number): AsyncIterable<Buffer> {
  let begun: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const rest = chunk.subarray(start, end);
      if (bytes + rest.length > bytesMax) throw unreadable(`a line of more than ${bytesMax} bytes`);
      const line = begun.length === 0 ? rest : Buffer.concat([...begun, rest]);
      begun = [];
      bytes = 0;
      start = end + 1;
      if (line.length > 0) yield line;
    }
    if (start < chunk.length) begun.push(chunk.subarray(start));
    bytes += chunk.length - start;
    if (bytes > bytesMax) throw unreadable(`a line of more than ${bytesMax} bytes`);
  }
  if (bytes > 0) throw unreadable("a line that ends half-way");
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8")) as unknown;
  } catch {
    // The parser's message quotes the text, which may hold annotations that are secret.
    throw unreadable(`${bytes.length} bytes that are not JSON`);
  }
}

function unreadable(what: string): AppError {
  return new AppError("kubernetes_unavailable", `Cannot read the Kubernetes API server: ${what}`);
}
