import { Code } from "./grpc-code.ts";
import { GrpcFailure } from "./grpc-failure.ts";

/** A flag that says whether it is compressed, and its length. */
const PREFIX_BYTES = 5;
/** The largest message that is taken, in bytes. */
const MESSAGE_BYTES_MAX = 65_536;

/** A message as it goes on the wire. */
export function framed(message: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}

/** Cuts a stream of bytes into its messages. */
export class GrpcMessages {
  #rest: Buffer = Buffer.alloc(0);

  /** Whether the bytes so far are whole messages. */
  get isWhole(): boolean {
    return this.#rest.length === 0;
  }

  /**
   * The messages that these bytes complete, valid until the next call.
   *
   * @throws {GrpcFailure} for a message that is compressed, which was not offered, or too large.
   */
  *add(chunk: Buffer): Generator<Uint8Array> {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= PREFIX_BYTES) {
      if (bytes[0] !== 0) throw new GrpcFailure(Code.Internal, "a message is compressed");
      const end = PREFIX_BYTES + bytes.readUInt32BE(1);
      if (end > PREFIX_BYTES + MESSAGE_BYTES_MAX) {
        const text = `a message has more than ${MESSAGE_BYTES_MAX} bytes`;
        throw new GrpcFailure(Code.ResourceExhausted, text);
      }
      if (bytes.length < end) break;
      yield bytes.subarray(PREFIX_BYTES, end);
      bytes = bytes.subarray(end);
    }
    this.#rest = bytes;
  }
}
