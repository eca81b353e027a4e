import { realpath, stat } from 'node:fs/promises';
import { type FileScan, scanDirectory, scanFinding } from '../capabilities/models/scan/index.ts';
import { surveyDirectory } from '../capabilities/models/survey.ts';
import { ApplianceError, systemCode } from '../lib/errors.ts';
import type { Finding } from '../lib/verdict.ts';
import type { ModelService } from './model-service.ts';

/** Looks into a registered version, or into a directory that the caller may read. @param uid user id of the caller */
export async function scanTarget(
  service: ModelService,
  target: string,
  uid: number,
  signal: AbortSignal,
): Promise<{ finding: Finding; files: FileScan[] }> {
  let directory: string;
  if (target.startsWith('/')) {
    directory = await existing(target);
    await surveyDirectory(directory, uid);
  } else directory = service.registry().find(target).directory;
  const files = await scanDirectory(directory, service.judgement.scanOptions(signal));
  return { finding: scanFinding(files), files };
}

/** @throws ApplianceError `usage` */
async function existing(path: string): Promise<string> {
  const refused = (why: string, cause?: unknown) =>
    new ApplianceError('usage', why, {
      left: 'nothing was looked at',
      hint: 'name a directory on this host, or a registered version: appliance models list',
      cause,
    });
  try {
    const real = await realpath(path);
    if ((await stat(real)).isDirectory()) return real;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCode(error) ?? ''))
      throw refused(`there is no directory ${path}`, error);
    throw error;
  }
  throw refused(`${path} is no directory`);
}
