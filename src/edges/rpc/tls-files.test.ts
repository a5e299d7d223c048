import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, truncate, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Clock } from "#core/clock.ts";
import { systemClock } from "#runtime/system-clock.ts";
import {
  type Authority,
  createAuthority,
  type Issued,
  swapTlsFolder,
  type TlsFolder,
  writeTlsFolder,
} from "#test/certificates.ts";
import { Events } from "#test/rpc.ts";
import { type TlsFilesEvent, watchTlsFiles } from "./tls-files.ts";

const NAMES = { names: ["server"], addresses: ["127.0.0.1"] };

describe("watchTlsFiles", { timeout: 20_000 }, () => {
  const stop = new AbortController();
  let root: string;
  let authority: Authority;
  let first: Issued;
  let second: Issued;
  let dir: string;
  let paths: TlsFolder;
  let count = 0;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), "rolecall-tls-"));
    authority = await createAuthority();
    [first, second] = [await authority.issue(NAMES), await authority.issue(NAMES)];
  });
  after(async () => {
    stop.abort(new Error("over"));
    await rm(root, { recursive: true, force: true });
  });
  beforeEach(async () => {
    count += 1;
    dir = join(root, String(count));
    paths = await writeTlsFolder(dir, { ...first, ca: [authority.cert] });
  });

  /** Follows the files of `paths`; `readings` lets a test wait until they were read again and again. */
  async function watch() {
    const events = new Events<TlsFilesEvent>();
    const readings = { count: 0, next: Promise.withResolvers<void>() };
    const clock: Clock = {
      now: () => systemClock.now(),
      sleep: (ms, signal) => {
        readings.count += 1;
        readings.next.resolve();
        readings.next = Promise.withResolvers();
        return systemClock.sleep(ms, signal);
      },
    };
    const { observe } = events;
    const tls = await watchTlsFiles({ ...paths, clock, signal: stop.signal, observe, pollMs: 10 });
    const several = async (): Promise<void> => {
      const until = readings.count + 6;
      while (readings.count < until) await readings.next.promise;
    };
    return { tls, events, several };
  }

  test("takes a set that was swapped by its link, and tells whoever wants to know", async () => {
    const { tls, events } = await watch();
    const told = Promise.withResolvers<void>();
    using _ = tls.subscribe(told.resolve);

    await swapTlsFolder(dir, { ...second, ca: [authority.cert] });
    await told.promise;

    assert.equal(tls.current.cert.toString(), second.cert);
    const loaded = await events.first("tls_loaded", 1);
    assert.deepEqual([loaded.isUpdate, loaded.problem], [true, undefined]);
  });

  const halves = [
    { name: "a certificate without its key", write: () => writeFile(paths.cert, second.cert) },
    { name: "a certificate that is cut off", write: () => truncate(paths.cert, 300) },
    { name: "a key that is cut off", write: () => truncate(paths.key, 60) },
    { name: "an authority that is empty", write: () => truncate(paths.ca, 0) },
    { name: "no key", write: () => unlink(paths.key) },
  ];
  for (const { name, write } of halves) {
    test(`goes on with the former set while it finds ${name}, says so once, and heals`, async () => {
      const { tls, events, several } = await watch();

      await write();
      const { error } = await events.first("tls_update_failed");
      await several();

      assert.equal(error.code, "invalid_settings");
      assert.ok(error.message.includes(dir), error.message);
      assert.equal(tls.current.cert.toString(), first.cert);
      assert.equal(events.seen.filter(({ type }) => type === "tls_update_failed").length, 1);

      await rm(paths.key, { force: true });
      await symlink(join("..data", "tls.key"), paths.key);
      await swapTlsFolder(dir, { ...second, ca: [authority.cert] });
      await events.first("tls_loaded", 1);
      assert.equal(tls.current.cert.toString(), second.cert);
    });
  }

  const unusable = [
    { name: "a folder", write: (path: string) => mkdir(path), says: /EISDIR/ },
    { name: "nothing", write: async () => undefined, says: /ENOENT/ },
    { name: "an empty file", write: (path: string) => writeFile(path, ""), says: /PEM/ },
    { name: "text", write: (path: string) => writeFile(path, "secret-text"), says: /PEM/ },
    {
      name: "more than a megabyte",
      write: (path: string) => writeFile(path, "x".repeat(1_048_577)),
      says: /1048577 bytes, more than 1048576/,
    },
    {
      // Opens and can't be read, even by root.
      name: "a file that can't be read",
      write: (path: string) => symlink("/proc/self/mem", path),
      says: /EIO/,
    },
    {
      name: "a link that leads to itself",
      write: (path: string) => symlink(path, path),
      says: /ELOOP/,
    },
  ];
  for (const { name, write, says } of unusable) {
    for (const which of ["cert", "key", "ca"] as const) {
      test(`refuses to start with ${name} as ${which}, naming the file and not its text`, async () => {
        await unlink(paths[which]);
        await write(paths[which]);

        await assert.rejects(watch(), (error: Error & { code?: string }) => {
          assert.equal(error.code, "invalid_settings");
          assert.ok(error.message.startsWith(`Cannot use ${paths[which]}: `), error.message);
          assert.match(error.message, says);
          assert.doesNotMatch(error.message, /secret-text/);
          return true;
        });
      });
    }
  }

  test("refuses to start with a certificate that is not the key's", async () => {
    await writeFile(paths.cert, second.cert);
    await assert.rejects(watch(), {
      code: "invalid_settings",
      message: `Cannot use ${paths.cert}: does not belong to the key ${paths.key}`,
    });
  });

  const problems = [
    { says: "expired", issue: () => authority.issue({ ...NAMES, notAfter: Date.now() - 60_000 }) },
    { says: "without subject alternative names", issue: () => authority.issue({}) },
    {
      says: "not signed by an authority in the CA file",
      issue: async () => (await createAuthority()).issue(NAMES),
    },
  ];
  for (const { says, issue } of problems) {
    test(`takes a certificate that peers won't accept, and says that it is ${says}`, async () => {
      await swapTlsFolder(dir, { ...(await issue()), ca: [authority.cert] });
      const { events } = await watch();
      assert.equal((await events.first("tls_loaded")).problem, says);
    });
  }

  test("knows when the first certificate of the chain ends, with several authorities", async () => {
    const other = await createAuthority();
    const notAfter = Math.floor(Date.now() / 1_000) * 1_000 + 60_000;
    const issued = await authority.issue({ ...NAMES, notAfter });
    await swapTlsFolder(dir, { ...issued, ca: [other.cert, authority.cert] });

    const { tls } = await watch();

    assert.deepEqual([tls.expiresAt, tls.current.problem], [notAfter, undefined]);
  });
});
