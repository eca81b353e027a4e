import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { scanDirectory, scanFinding, unpackBounds } from '../../src/capabilities/models/scan/index.ts';

const own = new Set([
  'routing_model.encoder.Encoder',
  'routing_model.scaler.Scaler',
  'routing_model.similarity.SimilarityEngine',
]);
const reference = resolve(import.meta.dirname, '../../compose/routing-ml');

let directory: string;
let scratch: string;
beforeEach(() => {
  const root = mkdtempSync(join(tmpdir(), 'scan-'));
  directory = join(root, 'model');
  scratch = join(root, 'scratch');
  mkdirSync(directory);
  mkdirSync(scratch);
});
afterEach(() => rmSync(resolve(directory, '..'), { recursive: true }));

/** Lets the real pickle module write: the script finds `out(name, bytes)` and a class `Evil`. */
function python(script: string): void {
  const preamble = `
import bz2, gzip, io, lzma, os, pickle, pickletools, struct, subprocess, sys, tarfile, zipfile, zlib
def out(name, data): open(os.path.join(${JSON.stringify(directory)}, name), 'wb').write(data)
class Evil:
    def __reduce__(self): return (os.system, ('touch ${join(scratch, 'owned')}',))
def text(value): return b'X' + struct.pack('<I', len(value)) + value
`;
  execFileSync('python3', ['-c', preamble + script]);
}

/** Python has no Zstandard before 3.14. */
function pressed(from: string, to: string): void {
  writeFileSync(join(directory, to), zstdCompressSync(readFileSync(join(directory, from))));
  rmSync(join(directory, from));
}

async function scan(bounds: { bytes: number; ratio: number } = unpackBounds) {
  return scanDirectory(directory, { own, scratch, bounds, signal: AbortSignal.timeout(20_000) });
}

async function verdictOf(name: string) {
  const one = (await scan()).filter(({ path }) => path === name || path.startsWith(`${name}!`));
  expect(one.length).toBeGreaterThan(0);
  return {
    verdict: one.some(({ verdict }) => verdict === 'fail') ? 'fail' : 'pass',
    reason: one.find(({ reason }) => reason)?.reason ?? null,
  };
}

describe('models of the reference application (S1-31)', () => {
  for (const version of ['app/models', 'versions/v0.9/models'])
    it(`lets ${version} pass, and says what they name`, async () => {
      cpSync(join(reference, version), directory, { recursive: true });
      const files = await scan();
      expect(files.filter(({ verdict }) => verdict === 'fail')).toEqual([]);
      expect(scanFinding(files)).toMatchObject({ id: 'scan', verdict: 'pass', samples: 7 });
      expect(files.find(({ path }) => path === 'scaler.joblib')?.globals).toEqual([
        'joblib.numpy_pickle.NumpyArrayWrapper',
        'numpy.dtype',
        'numpy.ndarray',
        'routing_model.scaler.Scaler',
      ]);
    });

  it('refuses the same files where their classes are not allowed', async () => {
    cpSync(join(reference, 'app/models'), directory, { recursive: true });
    const files = await scanDirectory(directory, {
      own: new Set(),
      scratch,
      bounds: unpackBounds,
      signal: AbortSignal.timeout(20_000),
    });
    expect(scanFinding(files)).toMatchObject({ verdict: 'fail' });
    expect(scanFinding(files).observed).toContain('routing_model.encoder.Encoder');
  });

  it('refuses each of them with any cut-off end', async () => {
    cpSync(join(reference, 'app/models/scaler.joblib'), join(directory, 'scaler.joblib'));
    python(`
whole = open(os.path.join(${JSON.stringify(directory)}, 'scaler.joblib'), 'rb').read()
for length in range(1, len(whole)): out('cut-%03d.joblib' % length, whole[:length])`);
    const files = await scan();
    expect(files.filter(({ path, verdict }) => path.startsWith('cut') && verdict === 'pass')).toEqual([]);
    expect(files.filter(({ verdict }) => verdict === 'pass').map(({ path }) => path)).toEqual(['scaler.joblib']);
  });
});

describe('planted payloads', () => {
  it('are refused in every protocol', async () => {
    python(
      `for protocol in range(6): out('p%d.pkl' % protocol, pickle.dumps({'weights': [1, 2], 'x': Evil()}, protocol))`,
    );
    const files = await scan();
    expect(files).toHaveLength(6);
    for (const file of files) {
      expect(file.verdict, file.path).toBe('fail');
      expect(file.reason).toMatch(/it imports (posix|nt)\.system/);
    }
  });

  it('are refused behind every compression that joblib knows, and behind two', async () => {
    python(`
evil = pickle.dumps(Evil())
out('a.pkl', zlib.compress(evil)); out('b.pkl', gzip.compress(evil)); out('c.pkl', bz2.compress(evil))
out('d.pkl', lzma.compress(evil, format=lzma.FORMAT_ALONE)); out('e.pkl', lzma.compress(evil, format=lzma.FORMAT_XZ))
out('f.pkl', subprocess.run(['lz4', '-c'], input=evil, capture_output=True, check=True).stdout)
out('g.pkl', gzip.compress(bz2.compress(evil)))
out('h', evil)`);
    pressed('h', 'h.pkl');
    for (const file of await scan()) {
      expect(file.verdict, file.path).toBe('fail');
      expect(file.reason, file.path).toMatch(/system/);
    }
  });

  it('let good data pass behind the same compressions', async () => {
    python(`
good = pickle.dumps({'weights': [1.5, 2.5], 'names': ('a', 'b'), 'set': {1, 2}, 'big': 2 ** 80, 'bytes': b'x' * 4000})
out('a.pkl', zlib.compress(good)); out('b.pkl', gzip.compress(good)); out('c.pkl', bz2.compress(good))
out('d.pkl', lzma.compress(good, format=lzma.FORMAT_ALONE)); out('e.pkl', lzma.compress(good))
out('f.pkl', subprocess.run(['lz4', '-c'], input=good, capture_output=True, check=True).stdout)
out('g', good)
for protocol in range(6): out('p%d.pkl' % protocol, pickle.dumps({'a': [1, -2, 3.5, None, True], 'b': frozenset([1])}, protocol))`);
    pressed('g', 'g.pkl');
    const files = await scan();
    expect(
      files.map(({ path, verdict, reason }) => ({ path, verdict, reason })).filter(({ verdict }) => verdict === 'fail'),
    ).toEqual([]);
    expect(files).toHaveLength(13);
  });

  it('are refused inside of archives, also nested ones', async () => {
    python(`
def zipped(name, data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as z: z.writestr('notes.txt', 'hello'); z.writestr(name, data)
    return file.getvalue()
def tarred(name, data):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode='w') as t:
        info = tarfile.TarInfo(name); info.size = len(data); t.addfile(info, io.BytesIO(data))
    return file.getvalue()
evil = pickle.dumps(Evil())
out('a.npz', zipped('a.npy', evil)); out('b.tar', tarred('b.pkl', evil)); out('c.zip', zipped('c.tar', tarred('c.zip', zipped('x.pkl', evil))))
out('d.tar.gz', gzip.compress(tarred('d.pkl', evil)))
good = pickle.dumps([1, 2, 3])
out('good.zip', zipped('good.pkl', good)); out('good.tar.gz', gzip.compress(tarred('good.pkl', good)))`);
    for (const name of ['a.npz', 'b.tar', 'c.zip', 'd.tar.gz'])
      expect(await verdictOf(name), name).toMatchObject({ verdict: 'fail', reason: expect.stringContaining('system') });
    for (const name of ['good.zip', 'good.tar.gz'])
      expect(await verdictOf(name), name).toMatchObject({ verdict: 'pass' });
  });

  it('are refused where archives tell two stories', async () => {
    python(`
def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as z:
        for name, data in members: z.writestr(name, data)
    return file.getvalue()
evil, good = pickle.dumps(Evil()), pickle.dumps([1])
plain = zipped([('data.pkl', good)])
out('renamed.zip', plain.replace(b'data.pkl', b'evil.pkl', 1)); out('before.zip', plain[:0] + b'PK' + plain)
out('behind.zip', plain + evil); out('sum.zip', zipped([('data.pkl', good)]).replace(good, good[:-2] + b'X.', 1))
out('hidden.zip', plain[:30 + 8 + len(good)] + evil + plain[30 + 8 + len(good):])
info = io.BytesIO()
with tarfile.open(fileobj=info, mode='w') as t:
    link = tarfile.TarInfo('link'); link.type = tarfile.SYMTYPE; link.linkname = '/etc/passwd'; t.addfile(link)
out('link.tar', info.getvalue())`);
    for (const file of await scan()) if (!file.path.includes('!')) expect(file.verdict, file.path).toBe('fail');
    for (const name of ['renamed.zip', 'before.zip', 'behind.zip', 'sum.zip', 'hidden.zip', 'link.tar'])
      expect(await verdictOf(name), name).toMatchObject({ verdict: 'fail' });
  });
});

describe('known ways around scanners', () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    [
      'memo filled by PUT and by MEMOIZE',
      `b'\\x80\\x04' + text(b'os') + b'q\\x00' + text(b'system') + b'q\\x01' + text(b'numpy') + b'\\x94' + text(b'ndarray') + b'\\x94' + b'h\\x00h\\x01\\x93' + text(b'id') + b'\\x85R.'`,
      /os\.system/,
    ],
    ['names out of bytes', `b'\\x80\\x04C\\x02osC\\x06system\\x93' + text(b'id') + b'\\x85R.'`, /plain text/],
    ['a payload before a broken end', `b'cos\\nsystem\\n(S\\'id\\'\\ntR\\xff\\xff'`, /os\.system/],
    ['a second pickle behind the first', `pickle.dumps([1]) + pickle.dumps(Evil())`, /system/],
    ['junk behind the end', `pickle.dumps([1]) + b'junk'`, /./],
    ['attributes of attributes', `b'cnumpy\\ncore._internal.sys.modules\\n.'`, /sys\.modules/],
    ['builtins of a safe module', `b'cnumpy\\n__builtins__\\n.'`, /__builtins__/],
    ['getattr', `b'cbuiltins\\ngetattr\\n(cos\\nS\\'system\\'\\ntR.'`, /getattr/],
    ['operator.attrgetter', `b'coperator\\nattrgetter\\n(S\\'system\\'\\ntR.'`, /attrgetter/],
    ['numpy.load', `b'cnumpy\\nload\\n(S\\'x\\'\\ntR.'`, /numpy\.load/],
    ['joblib.load', `b'cjoblib\\nload\\n(S\\'x\\'\\ntR.'`, /joblib\.load/],
    ['pickle.loads', `pickle.dumps([]).__class__ and b'cpickle\\nloads\\n(C\\x01.tR.'`, /pickle\.loads/],
    ['codecs with another codec', `b'c_codecs\\nencode\\n(' + text(b'x') + text(b'zlib') + b'tR.'`, /_codecs\.encode/],
    ['a module of numpy that imports os', `b'cnumpy.core._internal\\nsys\\n.'`, /sys/],
    ['Python 2 names', `b'c__builtin__\\neval\\n(S\\'1\\'\\ntR.'`, /eval/],
    ['INST', `b'(S\\'id\\'\\nios\\nsystem\\n.'`, /os\.system/],
    ['OBJ', `b'(cos\\nsystem\\nS\\'id\\'\\no.'`, /os\.system/],
    ['persistent ids', `b'Pos\\n.'`, /PERSID/],
    ['the extension registry', `b'\\x82\\x01.'`, /extension registry/],
    ['buffers of protocol 5', `b'\\x80\\x05\\x97.'`, /buffer/],
    ['attributes of a class', `b'cnumpy\\nndarray\\n}S\\'x\\'\\nI1\\nsb.'`, /not made/],
    ['attributes of the language', `b'cbuiltins\\nobject\\n)\\x81}S\\'__class__\\'\\nNsb.'`, /__class__/],
    ['a class as a function', `b'cbuiltins\\nint\\n(S\\'1\\'\\ntR.'`, /no class of a model/],
    [
      '_reconstructor of a function',
      `b'ccopyreg\\n_reconstructor\\n(c_codecs\\nencode\\ncbuiltins\\nobject\\nNtR.'`,
      /_codecs\.encode/,
    ],
    [
      'a frame inside of a frame',
      `b'\\x80\\x04\\x95' + struct.pack('<Q', 20) + b'\\x95' + struct.pack('<Q', 2) + b'N.' + b'0' * 9`,
      /frame/,
    ],
    ['a stack that grows without end', `b'(' + b'N' * 2_100_000 + b't.'`, /stacks more/],
    ['nothing but a protocol', `b'\\x80\\x04'`, /ends/],
    ['importlib', `b'cimportlib\\nimport_module\\n(S\\'os\\'\\ntR.'`, /importlib/],
    ['pkgutil.resolve_name', `b'cpkgutil\\nresolve_name\\n(S\\'os:system\\'\\ntR.'`, /pkgutil/],
    ['a re-exported class of scikit-learn', `b'csklearn.ensemble._forest\\nParallel\\n)\\x81.'`, /Parallel/],
    ['a metaclass', `b'cbuiltins\\ntype\\n(S\\'X\\'\\n)}tR.'`, /builtins\.type/],
  ];
  for (const [what, bytes, why] of cases)
    it(`refuses ${what}`, async () => {
      python(`out('case.pkl', ${bytes})`);
      const { verdict, reason } = await verdictOf('case.pkl');
      expect(verdict).toBe('fail');
      expect(reason).toMatch(why);
    });

  /** A pickle as joblib writes it, with arrays of one dtype. */
  const wrapper = `
def short(value): return b'\\x8c' + bytes([len(value)]) + value
def wrapped(dtype=b'f8', item=-1, flags=0, shape=2, payload=b'\\x00' * 16, frame=False):
    body = short(b'joblib.numpy_pickle') + short(b'NumpyArrayWrapper') + b'\\x93)\\x81}(' + short(b'shape') + b'K' + bytes([shape]) + b'\\x85'
    body += short(b'dtype') + b'cnumpy\\ndtype\\n(' + short(dtype) + b'\\x89\\x88tR(K\\x03' + short(b'<') + b'NNNJ' + struct.pack('<i', item) + b'J\\xff\\xff\\xff\\xffK' + bytes([flags]) + b'tb'
    body += short(b'numpy_array_alignment_bytes') + b'Nub'
    if frame: return b'\\x80\\x04\\x95' + struct.pack('<Q', len(body) + len(frame)) + body + frame + payload + b'.'
    return b'\\x80\\x04' + body + payload + b'.'
evil = b'cos\\nsystem\\n(S\\'id\\'\\ntR.'
`;
  it('lets a plain array pass, and only under the name that joblib reads', async () => {
    python(`${wrapper}out('a.joblib', wrapped()); out('b.pkl', wrapped())`);
    expect(await verdictOf('a.joblib')).toEqual({ verdict: 'pass', reason: null });
    expect((await verdictOf('b.pkl')).reason).toMatch(/only joblib/);
  });
  it('refuses arrays whose bytes one reader passes and another one runs', async () => {
    python(`${wrapper}
out('flags.joblib', wrapped(flags=63, payload=evil.ljust(16, b'.')))
out('size.joblib', wrapped(dtype=b'V8', item=1, payload=b'\\x00\\x00' + evil))
out('frame.joblib', wrapped(frame=evil))
out('objects.joblib', wrapped(dtype=b'O8', flags=63, payload=evil))
out('short.joblib', wrapped(shape=200))`);
    expect((await verdictOf('flags.joblib')).reason).toMatch(/contradicts/);
    expect((await verdictOf('size.joblib')).reason).toMatch(/contradicts/);
    expect((await verdictOf('frame.joblib')).reason).toMatch(/frame/);
    expect((await verdictOf('objects.joblib')).reason).toMatch(/os\.system/);
    expect((await verdictOf('short.joblib')).reason).toMatch(/announced/);
  });
  it('refuses an array file of numpy whose items are pickled', async () => {
    python(`
def npy(descr, payload):
    header = ("{'descr': %s, 'fortran_order': False, 'shape': (1,), }" % descr).encode().ljust(117) + b'\\n'
    return b'\\x93NUMPY\\x01\\x00' + struct.pack('<H', len(header)) + header + payload
out('good.npy', npy("'<f8'", b'\\x00' * 8)); out('evil.npy', npy("'|O'", pickle.dumps(Evil()))); out('record.npy', npy("[('a', '|O')]", pickle.dumps(Evil())))`);
    expect(await verdictOf('good.npy')).toMatchObject({ verdict: 'pass' });
    expect(await verdictOf('evil.npy')).toMatchObject({ verdict: 'fail', reason: expect.stringContaining('system') });
    expect(await verdictOf('record.npy')).toMatchObject({ verdict: 'fail', reason: expect.stringContaining('system') });
  });
});

describe('bounds and other kinds', () => {
  it('refuses bombs, damage and junk behind compressed data', async () => {
    python(`
bomb = gzip.compress(b'\\x00' * 80_000_000); out('bomb.pkl', bomb)
good = pickle.dumps([1] * 5000)
out('cut.pkl', gzip.compress(good)[:-9]); out('behind-zlib.pkl', zlib.compress(good) + b'more'); out('behind-bz2.pkl', bz2.compress(good) + b'more')
out('behind-xz.pkl', lzma.compress(good) + b'more'); out('no.pkl', b'x' + b'junk')`);
    const files = await scan({ bytes: 2 ** 30, ratio: 10 });
    expect(files.map(({ path }) => path).sort()).toEqual([
      'behind-bz2.pkl',
      'behind-xz.pkl',
      'behind-zlib.pkl',
      'bomb.pkl',
      'cut.pkl',
      'no.pkl',
    ]);
    for (const file of files) expect(file.verdict, file.path).toBe('fail');
    expect(files.find(({ path }) => path === 'bomb.pkl')?.reason).toMatch(/larger than 64/);
  });

  it('says what it does not know is not safe, and reads text as text', async () => {
    writeFileSync(join(directory, 'weights.bin'), Buffer.from([0xde, 0xad, 0xbe, 0xef]));
    writeFileSync(join(directory, 'labels.txt'), 'cat\ndog\nRabbit\n');
    writeFileSync(join(directory, 'table.csv'), 'colour,size\nred,1\n');
    writeFileSync(join(directory, 'points.csv'), 'x,y\n1,2\n');
    writeFileSync(join(directory, 'ok.json'), '{"a": 1}');
    writeFileSync(join(directory, 'bad.json'), '{"a": ');
    writeFileSync(join(directory, 'hidden.txt'), "cos\nsystem\n(S'id'\ntR.");
    writeFileSync(join(directory, 'empty'), '');
    const found = Object.fromEntries((await scan()).map(({ path, kind, verdict }) => [path, `${kind} ${verdict}`]));
    expect(found).toEqual({
      'weights.bin': 'pickle fail',
      'labels.txt': 'text pass',
      'table.csv': 'text pass',
      'points.csv': 'text pass',
      'ok.json': 'json pass',
      'bad.json': 'pickle fail',
      'hidden.txt': 'pickle fail',
      empty: 'empty pass',
    });
  });

  it('is inconclusive about a directory without files', async () => {
    expect(scanFinding(await scan())).toMatchObject({ verdict: 'inconclusive', needed: 1 });
  });
});
