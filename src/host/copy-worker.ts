import { parentPort } from 'node:worker_threads';
import { messageOf, systemCode } from '../lib/errors.ts';
import { type CopyJob, copyFile } from './copy-file.ts';

// One lane of `copy-files.ts`: files come as messages, one at a time, and each is answered.
parentPort?.on('message', async (job: CopyJob) => {
  try {
    parentPort?.postMessage({ result: await copyFile(job) });
  } catch (error) {
    parentPort?.postMessage({ message: messageOf(error), code: systemCode(error) });
  }
});
