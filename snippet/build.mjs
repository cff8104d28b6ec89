/** Builds the snippet, the demo pages and GraphiQL into dist/, for `router/pages/app.py`. */
import { cp, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const ROOT = dirname(fileURLToPath(import.meta.url));
const DIST = join(ROOT, "dist");

/** The limit for the compressed snippet, which every visitor of a shop loads. */
const SNIPPET_LIMIT_BYTES = 10_000;

/** @type {import("esbuild").BuildOptions} */
const common = {
  absWorkingDir: ROOT,
  bundle: true,
  minify: true,
  logLevel: "warning",
  loader: { ".graphql": "text", ".ttf": "file", ".woff2": "file", ".woff": "file" },
  define: { "process.env.NODE_ENV": '"production"' },
};

async function buildSnippet() {
  const outfile = join(DIST, "snippet/proofgraph.js");
  await build({
    ...common,
    entryPoints: ["src/index.ts"],
    outfile,
    format: "iife",
    target: "es2020",
  });
  const bytes = gzipSync(await readFile(outfile), { level: 9 }).length;
  process.stdout.write(`snippet: ${bytes} bytes gzip\n`);
  if (bytes >= SNIPPET_LIMIT_BYTES)
    throw new Error(`the snippet must stay under ${SNIPPET_LIMIT_BYTES} bytes gzip`);
}

async function buildDemo() {
  await build({
    ...common,
    entryPoints: ["demo/shop.ts", "demo/dashboard.ts", "demo/shop.css", "demo/dashboard.css"],
    outdir: join(DIST, "demo"),
    format: "esm",
    target: "es2022",
  });
  for (const page of ["shop.html", "dashboard.html"])
    await cp(join(ROOT, "demo", page), join(DIST, "demo", page));
  await cp(join(ROOT, "demo/products"), join(DIST, "demo/products"), { recursive: true });
}

/** The local stack alone serves the start page, so it has a folder of its own. */
async function buildStart() {
  const outdir = join(DIST, "start");
  await build({
    ...common,
    entryPoints: ["demo/start.ts", "demo/start.css"],
    outdir,
    format: "esm",
    target: "es2022",
  });
  await cp(join(ROOT, "demo/start.html"), join(outdir, "start.html"));
}

async function buildGraphiql() {
  const outdir = join(DIST, "graphiql");
  await build({
    ...common,
    entryPoints: { main: "graphiql/main.tsx" },
    outdir,
    format: "esm",
    target: "es2022",
    splitting: true,
    chunkNames: "chunk-[hash]",
    assetNames: "[name]-[hash]",
  });
  await build({
    ...common,
    entryPoints: {
      "editor.worker": "monaco-editor/esm/vs/editor/editor.worker.js",
      "json.worker": "monaco-editor/esm/vs/language/json/json.worker.js",
      "graphql.worker": "monaco-graphql/esm/graphql.worker.js",
    },
    outdir,
    format: "iife",
    target: "es2022",
  });
  await cp(join(ROOT, "graphiql/index.html"), join(outdir, "index.html"));
}

await rm(DIST, { recursive: true, force: true });
await Promise.all([buildSnippet(), buildDemo(), buildStart(), buildGraphiql()]);
