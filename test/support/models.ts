import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

interface Content {
  readonly name?: string;
  readonly version?: string;
  readonly files?: Readonly<Record<string, string | Buffer>>;
  readonly metrics?: Readonly<Record<string, unknown>>;
  /** Laid over the manifest. */
  readonly manifest?: Readonly<Record<string, unknown>>;
}

/** Writes a complete model directory. */
export async function writeModel(directory: string, content: Content = {}): Promise<string> {
  const { name = 'routing', version = '1', metrics = { accuracy: 0.9 } } = content;
  const files = { 'model.joblib': `weights of ${version}`, 'metrics.json': JSON.stringify(metrics), ...content.files };
  for (const [path, data] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), data);
  }
  const listed = Object.entries(files).filter(([path]) => !path.includes('/'));
  const manifest = {
    name,
    version,
    features: ['material', 'shape'],
    libraries: { numpy: '2.2.4' },
    files: Object.fromEntries(listed.map(([path, data]) => [path, entryOf(data)])),
    ...content.manifest,
  };
  await writeFile(join(directory, 'manifest.json'), JSON.stringify(manifest));
  return directory;
}

function entryOf(data: string | Buffer) {
  return { sha256: createHash('sha256').update(data).digest('hex'), bytes: Buffer.byteLength(data) };
}
