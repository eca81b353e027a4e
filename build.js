// Builds dist/: the program as a handful of ES modules that need nothing beside them but Node.js.
//
//   dist/appliance.js      the file to run: switches V8's compile cache on, then loads the program
//   dist/<name>-<hash>.js  the program; every dynamic import is a chunk, so a CLI verb loads only what it uses
//   dist/copy-worker.js    what a thread that copies and hashes files runs
//   dist/policies/         the policies that come with it
//   dist/checks/           the sequences of requests that come with it
//   dist/node_modules/     better-sqlite3, the one dependency with native code
//
// `node build.js [--outdir DIR]`

import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const repository = dirname(fileURLToPath(import.meta.url));

/**
 * Packages that our dependencies ask for on paths that we never take. Left out, they save 40 % of the engine chunk.
 * Each stands for itself until somebody calls it; then it says what is missing.
 */
const leftOut = {
  ssh2: 'docker-modem: an engine reached over SSH; ours is a local socket',
  '@grpc/grpc-js': 'dockerode: BuildKit sessions; images are built by Compose',
  '@grpc/proto-loader': 'dockerode: BuildKit sessions; images are built by Compose',
  'react-devtools-core': 'ink: a developer tool, loaded with DEV=true only',
};

/** @type {import('esbuild').Plugin} */
const leaveOut = {
  name: 'leave-out',
  setup(builder) {
    const names = Object.keys(leftOut).map((name) => name.replace(/[/-]/g, '\\$&'));
    const filter = new RegExp(`^(${names.join('|')})$`);
    builder.onResolve({ filter }, ({ path }) => ({ path, namespace: 'left-out' }));
    builder.onLoad({ filter: /.*/, namespace: 'left-out' }, ({ path }) => ({
      loader: 'js',
      contents: `const missing = () => { throw new Error(${JSON.stringify(`${path} is left out of the bundle (${leftOut[path]})`)}); };
        module.exports = new Proxy(missing, { get: (target, key) => (key === 'default' || key === 'Client' ? missing : target[key]) });`,
    }));
  },
};

/**
 * commander imports node:child_process for a feature that we do not use (subcommands that are programs of their own).
 * Loading it costs 2 to 3 ms of the 25 that `appliance --help` takes, so it is fetched at the first call instead.
 *
 * @type {import('esbuild').Plugin}
 */
const lazyChildProcess = {
  name: 'lazy-child-process',
  setup(builder) {
    builder.onResolve({ filter: /^(node:)?child_process$/ }, ({ path, importer }) =>
      /node_modules\/commander\//.test(importer) ? { path, namespace: 'lazy' } : undefined,
    );
    builder.onLoad({ filter: /.*/, namespace: 'lazy' }, () => ({
      loader: 'js',
      contents: `const load = () => process.getBuiltinModule('node:child_process');
        export const spawn = (...args) => load().spawn(...args);
        export default { spawn };`,
    }));
  },
};

/**
 * yoga-layout, which Ink lays out with, reads its own code, a `data:` URL, by `fetch`, or without one by itself. Node.js
 * loads an HTTP client for its `fetch`: 60 ms of the time until the screens are there.
 *
 * @type {import('esbuild').Plugin}
 */
const layoutWithoutFetch = {
  name: 'layout-without-fetch',
  setup(builder) {
    builder.onLoad({ filter: /yoga-wasm-base64-esm\.js$/ }, async ({ path }) => ({
      loader: 'js',
      contents: `const fetch = undefined;\n${await readFile(path, 'utf8')}`,
    }));
  },
};

/**
 * Ink takes every line of every frame apart into its cells, which is two thirds of what a frame costs; all but a few lines
 * are the same as before. What it knows of a line is kept from one frame to the next, until that is many lines.
 *
 * @type {import('esbuild').Plugin}
 */
const linesKept = {
  name: 'lines-kept',
  setup(builder) {
    const each = 'caches = new OutputCaches();';
    builder.onLoad({ filter: /ink\/build\/output\.js$/ }, async ({ path }) => {
      const code = await readFile(path, 'utf8');
      if (!code.includes(each))
        throw new Error(`${path} no longer says ${each}; look whether Ink keeps lines by itself`);
      return {
        loader: 'js',
        contents: `${code.replace(each, 'caches = keptCaches();')}
          let kept;
          function keptCaches() {
            if (kept === undefined || kept.styledChars.size > 500) kept = new OutputCaches();
            return kept;
          }`,
      };
    });
  },
};

/**
 * esbuild gives a module of its own to whatever a different set of entry points shares: a dozen small files for
 * `appliance --help`, each of which Node.js must resolve, open and link. Here every chunk that is loaded on demand also
 * imports what every command needs, so that all of that is shared by all of them and becomes one module.
 *
 * @type {import('esbuild').Plugin}
 */
const commonInOne = {
  name: 'common-in-one',
  setup(builder) {
    const common = join(repository, 'src/cli/run.ts');
    builder.onResolve({ filter: /^\./ }, ({ kind, path, resolveDir }) => {
      const file = join(resolveDir, path);
      return kind === 'dynamic-import' && file.startsWith(join(repository, 'src'))
        ? { path: file, pluginData: { onDemand: true } }
        : undefined;
    });
    builder.onLoad({ filter: /\.tsx?$/ }, async ({ path, pluginData }) =>
      pluginData?.onDemand
        ? {
            contents: `import ${JSON.stringify(common)};\n${await readFile(path, 'utf8')}`,
            loader: path.endsWith('x') ? 'tsx' : 'ts',
            resolveDir: dirname(path),
          }
        : undefined,
    );
  },
};

/** CommonJS dependencies inside ES modules expect these names. */
const commonJsNames = {
  require: 'let made; const require = (id) => (made ??= makeRequire(import.meta.url))(id);',
  __dirname: 'const __dirname = import.meta.dirname;',
  __filename: 'const __filename = import.meta.filename;',
};

/**
 * Declares the names of CommonJS where they are used, and makes a `require` at its first call: a command loads a dozen
 * modules, and one for each is a tenth of the time that `appliance --help` takes.
 *
 * @param {string} code of one module
 */
function withCommonJsNames(code) {
  const used = Object.entries(commonJsNames).filter(([name]) => new RegExp(`\\b${name}\\b`).test(code));
  const maker = "import { createRequire as makeRequire } from 'node:module';";
  return `${used.some(([name]) => name === 'require') ? maker : ''}${used.map(([, line]) => line).join('')}${code}`;
}

/**
 * The file to run. V8's cache must be on before the first of our modules is compiled, hence a file of its own. Node.js
 * keeps a cache for each user id; root's lies in dist/, another user's in his own cache directory: one that all could
 * write to would let one user plant code for another. NODE_ENV is set for React, whose development build grows without
 * bound.
 *
 * @param {string} main file name of the bundled program
 */
const launcher = (main) => `#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
process.env.NODE_ENV ??= 'production';
const home = process.env.XDG_CACHE_HOME || (process.env.HOME && join(process.env.HOME, '.cache'));
const cache = process.getuid() === 0 ? join(import.meta.dirname, 'cache') : home && join(home, 'appliance');
if (cache) enableCompileCache(cache);
await import('./${main}');
`;

/** Copies better-sqlite3 without its sources (20 MB) and without the binaries of other systems. */
async function copySqlite(outdir) {
  const from = join(repository, 'node_modules', 'better-sqlite3');
  const to = join(outdir, 'node_modules', 'better-sqlite3');
  await mkdir(join(to, 'prebuilds'), { recursive: true });
  for (const item of ['package.json', 'LICENSE', 'lib'])
    await cp(join(from, item), join(to, item), { recursive: true });
  const binaries = (await readdir(join(from, 'prebuilds'))).filter((file) => /^linux-(x64|arm64)\.node$/.test(file));
  if (binaries.length === 0) throw new Error('better-sqlite3 carries no binary for Linux; run npm ci');
  for (const file of binaries) await cp(join(from, 'prebuilds', file), join(to, 'prebuilds', file));
}

/**
 * A package of CommonJS that is imported on demand becomes a module whose one export is `default`. Node.js finds its
 * other names all the same, so a program that uses them passes every test and fails where it is installed.
 *
 * @param {import('esbuild').Metafile} metafile
 * @throws names the source and the package
 */
async function refuseNamesOfCommonJs({ inputs, outputs }) {
  const wanting = new Set(
    Object.values(outputs)
      .filter(({ entryPoint, exports }) => entryPoint?.startsWith('node_modules/') && exports.join() === 'default')
      .map(({ entryPoint }) => entryPoint),
  );
  for (const [file, { imports }] of Object.entries(inputs)) {
    if (!file.startsWith('src/')) continue;
    const asked = imports.filter(({ kind, path }) => kind === 'dynamic-import' && wanting.has(path));
    if (asked.length === 0) continue;
    const code = await readFile(join(repository, file), 'utf8');
    for (const { original } of asked)
      if (
        code
          .split(`await import('${original}')`)
          .slice(0, -1)
          .some((before) => !/\{ default: \w+ \} = $/.test(before))
      )
        throw new Error(
          `${file}: ${original} is CommonJS; write const { default: name } = await import('${original}')`,
        );
  }
}

async function main() {
  const { values } = parseArgs({ options: { outdir: { type: 'string', default: join(repository, 'dist') } } });
  const { outdir } = values;
  const { version } = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8'));
  await rm(outdir, { recursive: true, force: true });
  const { metafile, outputFiles } = await build({
    write: false,
    absWorkingDir: repository,
    entryPoints: { main: 'src/main.ts' },
    outdir,
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    minify: true,
    keepNames: true,
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
    external: ['better-sqlite3'],
    // The package is a command line as well, which nobody needs here; its `#!` would stand in the middle of a module.
    alias: { autocannon: 'autocannon/lib/init.js' },
    // A module that a plugin loads does not see tsconfig.json.
    jsx: 'automatic',
    plugins: [leaveOut, lazyChildProcess, layoutWithoutFetch, linesKept, commonInOne],
    define: { 'process.env.NODE_ENV': '"production"', 'process.env.APPLIANCE_VERSION': JSON.stringify(version) },
  });
  await refuseNamesOfCommonJs(metafile);
  await mkdir(outdir, { recursive: true });
  for (const { path, text } of outputFiles) await writeFile(path, withCommonJsNames(text));
  const outputs = Object.entries(metafile.outputs);
  const program = outputs.find(([, output]) => output.entryPoint === 'src/main.ts');
  if (program === undefined) throw new Error('esbuild reported no output for src/main.ts');
  await writeFile(join(outdir, 'package.json'), `${JSON.stringify({ name: 'appliance', version, type: 'module' })}\n`);
  await writeFile(join(outdir, 'appliance.js'), launcher(program[0].slice(program[0].lastIndexOf('/') + 1)), {
    mode: 0o755,
  });
  await build({
    absWorkingDir: repository,
    entryPoints: ['src/host/copy-worker.ts'],
    outfile: join(outdir, 'copy-worker.js'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    minify: true,
    logLevel: 'warning',
  });
  await copySqlite(outdir);
  for (const data of ['policies', 'checks'])
    await cp(join(repository, 'compose', data), join(outdir, data), { recursive: true });
  const bytes = outputs.reduce((sum, [, output]) => sum + output.bytes, 0);
  console.log(`built ${outdir}: ${outputs.length} modules, ${Math.round(bytes / 1024)} KiB`);
}

await main();
