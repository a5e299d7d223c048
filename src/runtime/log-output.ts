import { constants, openSync, writeSync } from "node:fs";

/** Takes one line, its newline included; false when it had to be left out. */
export type WriteLine = (line: string) => boolean;

const STANDARD_ERROR = "/proc/self/fd/2";
const APPENDING = constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK;

/**
 * Lines to a pipe or file, without ever waiting for whoever reads it: what does not fit into the pipe (64 KiB
 * on Linux) is left out. Whoever collects a container's log may stand still for seconds while the node's disk
 * is busy. Node's own standard error would queue in memory without a bound meanwhile, and lose the queue at an exit.
 *
 * What was taken is written when this returns, so that the last line before an exit is not lost.
 *
 * @param path standard error when absent; where it is no pipe and no file, Node's own is used, which queues
 */
export function lineOutput(path: string = STANDARD_ERROR): WriteLine {
  const fd = open(path);
  if (fd === undefined) return (line) => (process.stderr.write(line), true);
  /** The rest of a line of which the pipe took a part: no other may come between. */
  let rest: Buffer = Buffer.alloc(0);
  return (line) => {
    if (rest.length > 0) rest = writeWhatFits(fd, rest);
    if (rest.length > 0) return false;
    const bytes = Buffer.from(line);
    const left = writeWhatFits(fd, bytes);
    if (left.length === bytes.length) return false;
    rest = left;
    return true;
  };
}

/** Another opening of the same pipe, since the one that was handed in belongs to others too. */
function open(path: string): number | undefined {
  try {
    return openSync(path, APPENDING);
  } catch {
    return undefined;
  }
}

/** Returns what did not fit. */
function writeWhatFits(fd: number, bytes: Buffer): Buffer {
  try {
    return bytes.subarray(writeSync(fd, bytes));
  } catch {
    // EAGAIN: the pipe is full. Anything else can't be told to anybody either.
    return bytes;
  }
}
