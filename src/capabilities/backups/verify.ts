import { createHash } from 'node:crypto';
import { Writable } from 'node:stream';
import { ApplianceError, asApplianceError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/units.ts';
import type { Finding } from '../../lib/verdict.ts';
import type { Repository } from './repository.ts';
import type { Snapshot } from './snapshots.ts';

/**
 * Reads everything of a snapshot back and compares it with its manifest: each file by its hash, directories by restic,
 * which proves each piece that it reads.
 * @throws ApplianceError when the repository cannot be read at all; `backup_newer`
 */
export async function verifySnapshot(
  repository: Repository,
  snapshot: Snapshot,
  signal: AbortSignal,
): Promise<Finding[]> {
  const manifest = await repository.manifest(snapshot, signal);
  const findings: Finding[] = [];
  for (const { name, path, bytes, sha256 } of manifest.components) {
    const sink = new HashSink();
    const finding = await damageOf(async () => {
      const inside = path.startsWith('/') ? path : `/snapshot/${path}`;
      await repository.dump(snapshot.resticId, inside, sink, signal);
      if (sha256 === null) return undefined;
      const found = sink.hash.digest('hex');
      return found === sha256 ? undefined : `it has hash ${found.slice(0, 12)}, not ${sha256.slice(0, 12)}`;
    });
    findings.push(
      finding === undefined
        ? { id: name, verdict: 'pass', observed: `${formatBytes(sha256 === null ? sink.bytes : bytes)} read back` }
        : { id: name, verdict: 'fail', observed: finding, hint: 'choose another snapshot: appliance backup list' },
    );
  }
  return findings;
}

/** What is wrong, where something is; an error that tells of anything but damage is thrown on. */
async function damageOf(work: () => Promise<string | undefined>): Promise<string | undefined> {
  try {
    return await work();
  } catch (thrown) {
    const error = asApplianceError(thrown);
    if (error instanceof ApplianceError && ['backup_damaged', 'backup_failed'].includes(error.code))
      return error.message;
    throw error;
  }
}

/** Hashes what it is given. */
class HashSink extends Writable {
  bytes = 0;
  readonly hash = createHash('sha256');

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.bytes += chunk.length;
    this.hash.update(chunk);
    done();
  }
}
