import { spawn } from 'node:child_process';
import { Duplex } from 'node:stream';
import { systemCode } from '../lib/errors.ts';

/** Most of what a program says about its failure, in characters. */
const keptWords = 300;

/**
 * A program that reads bytes and writes others, as a stream. It ends with the stream, whatever ends that.
 * @param failure makes the error of a program that is missing, ends with another status than 0 or complains
 */
export function spawnFilter(program: string, args: readonly string[], failure: (why: string) => Error): Duplex {
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' },
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (said.length < keptWords) said += chunk.toString('utf8');
  });
  // A program that has seen enough closes its input; its status says whether that was right.
  child.stdin.on('error', () => undefined);
  const stream = new Duplex({
    allowHalfOpen: true,
    write: (chunk: Buffer, _, done) => {
      if (child.stdin.destroyed || !child.stdin.writable) done();
      else if (child.stdin.write(chunk)) done();
      else {
        const go = (): void => {
          child.stdin.off('drain', go);
          child.stdin.off('close', go);
          done();
        };
        child.stdin.once('drain', go);
        child.stdin.once('close', go);
      }
    },
    final: (done) => {
      child.stdin.end();
      done();
    },
    read: () => {
      child.stdout.resume();
    },
    destroy: (error, done) => {
      child.kill('SIGKILL');
      done(error);
    },
  });
  child.stdout.on('data', (chunk: Buffer) => {
    if (!stream.push(chunk)) child.stdout.pause();
  });
  child.on('error', (error) => {
    const missing = systemCode(error) === 'ENOENT';
    stream.destroy(failure(missing ? `the program ${program} is not on this host` : `${program}: ${error.message}`));
  });
  child.on('close', (status) => {
    if (stream.destroyed) return;
    const words = said.trim().slice(0, keptWords);
    // bzip2 only warns of what lies behind the end of its data.
    if (status === 0 && words === '') stream.push(null);
    else stream.destroy(failure(`${program}: ${words || `exit status ${status}`}`));
  });
  return stream;
}
