/**
 * Prints the path of a Chromium that starts on a bare machine: `node snippet/test/chromium.mjs`.
 *
 * An npm package contains the compressed browser. This script unpacks it once, below node_modules:
 * two checkouts never share it, and removing node_modules removes it. The printed path is a launch
 * script, which adds the package's libraries and font where the system lacks them. To use another
 * browser, set CHROMIUM_PATH to its path.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, createWriteStream, existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { createBrotliDecompress } from "node:zlib";

const NODE_MODULES = resolve(dirname(fileURLToPath(import.meta.url)), "../node_modules");
const PACKAGE = join(NODE_MODULES, "@sparticuz/chromium");

// The script looks for missing libraries at every start: an update may add or remove one.
const LAUNCHER = `#!/bin/sh
here=$(dirname "$0")
if ldd "$here/chromium" | grep -q "not found"; then
  export LD_LIBRARY_PATH="$here/lib\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
export FONTCONFIG_FILE="$here/fonts.conf"
exec "$here/chromium" "$@"
`;

const FONTS = (/** @type {string} */ home) => `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>${home}/fonts</dir>
  <cachedir>${home}/fonts-cache</cachedir>
</fontconfig>
`;

async function chromium() {
  if (process.env.CHROMIUM_PATH) return process.env.CHROMIUM_PATH;
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new Error("the packaged Chromium runs on Linux x86-64 only: set CHROMIUM_PATH to the path of a browser");
  const { version } = JSON.parse(await readFile(join(PACKAGE, "package.json"), "utf8"));
  const home = join(NODE_MODULES, ".cache", `chromium-${version}`);
  const launcher = join(home, "launch");
  if (!existsSync(launcher)) await unpack(home);
  return launcher;
}

/** Unpacks beside the target and renames: of two processes, neither sees a partial browser. */
async function unpack(/** @type {string} */ home) {
  await mkdir(dirname(home), { recursive: true });
  const draft = await mkdtemp(`${home}-`);
  await Promise.all([
    inflate("chromium.br", createWriteStream(join(draft, "chromium"), { mode: 0o755 })),
    untar("al2023.tar.br", draft),
    untar("fonts.tar.br", draft),
  ]);
  await writeFile(join(draft, "fonts.conf"), FONTS(home));
  await writeFile(join(draft, "launch"), LAUNCHER, { mode: 0o755 });
  try {
    await rename(draft, home);
  } catch (error) {
    await rm(draft, { recursive: true });
    if (!existsSync(join(home, "launch"))) throw error;
  }
}

async function inflate(/** @type {string} */ name, /** @type {import("stream").Writable} */ into) {
  await pipeline(createReadStream(join(PACKAGE, "bin", name)), createBrotliDecompress(), into);
}

async function untar(/** @type {string} */ name, /** @type {string} */ into) {
  // As root, tar would otherwise take over the user IDs and modes of the archive.
  const tar = spawn("tar", ["-x", "--no-same-owner", "-C", into], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  // tar may exit before it has read the padding behind the end of the archive. Its exit code
  // decides; a pipe that closed early is no error.
  const [[code], pipeError] = await Promise.all([
    once(tar, "close"),
    inflate(name, tar.stdin).catch((/** @type {NodeJS.ErrnoException} */ error) => error),
  ]);
  const closedEarly = ["ERR_STREAM_PREMATURE_CLOSE", "EPIPE"].includes(pipeError?.code ?? "");
  if (code !== 0 || (pipeError && !closedEarly))
    throw new Error(`tar could not unpack ${name}`, { cause: pipeError });
}

try {
  process.stdout.write(`${await chromium()}\n`);
} catch (error) {
  process.stderr.write(`chromium: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 2;
}
