import { createSocket } from 'node:dgram';
import { messageOf } from '../lib/errors.ts';
import { runInstalled } from './run-installed.ts';

/** How far the clock of this host is from the right time, as far as anybody here knows. */
export interface ClockState {
  /** Seconds, positive when this host is ahead; null when nobody could say. */
  readonly offset: number | null;
  /** Whether the kernel says that something keeps the clock right; null when it cannot be asked. */
  readonly synchronised: boolean | null;
  /** Who said so, or why nobody did. */
  readonly source: string;
}

const patience = 2_000;

/**
 * Asks what keeps the clock (chrony, systemd-timesyncd), else a time server on the network (RFC 4330).
 * @param server host name of the time server that is asked last
 */
export async function clockState(server: string, signal: AbortSignal): Promise<ClockState> {
  const [chrony, kernel] = await Promise.all([chronyOffset(signal), kernelState(signal)]);
  if (chrony !== undefined) return { offset: chrony, synchronised: kernel, source: 'chrony' };
  const timesync = await timesyncOffset(signal);
  if (timesync !== undefined) return { offset: timesync, synchronised: kernel, source: 'systemd-timesyncd' };
  try {
    return { offset: await askTimeServer(server, signal), synchronised: kernel, source: server };
  } catch (error) {
    return { offset: null, synchronised: kernel, source: `${server} does not answer: ${messageOf(error)}` };
  }
}

async function said(command: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  const result = await runInstalled(command, args, { timeout: patience, signal }).catch(() => undefined);
  return result?.exitCode === 0 ? result.stdout : '';
}

async function chronyOffset(signal: AbortSignal): Promise<number | undefined> {
  const text = await said('chronyc', ['-n', 'tracking'], signal);
  const [, amount, direction] = /^System time\s*:\s*([\d.]+) seconds (slow|fast)/m.exec(text) ?? [];
  return amount === undefined ? undefined : Number(amount) * (direction === 'fast' ? 1 : -1);
}

async function timesyncOffset(signal: AbortSignal): Promise<number | undefined> {
  return parseTimesync(await said('timedatectl', ['timesync-status', '--no-pager'], signal));
}

/** The line `Offset: +1.2ms` of `timedatectl timesync-status`, in seconds. Pure. */
export function parseTimesync(text: string): number | undefined {
  const [, sign, amount, unit] = /^\s*Offset: ([+-]?)([\d.]+)(us|ms|s)\b/m.exec(text) ?? [];
  if (amount === undefined) return undefined;
  const factor = unit === 'us' ? 1e-6 : unit === 'ms' ? 1e-3 : 1;
  // What timesyncd calls its offset is what the server is ahead by.
  return Number(amount) * factor * (sign === '-' ? 1 : -1);
}

async function kernelState(signal: AbortSignal): Promise<boolean | null> {
  const text = await said('timedatectl', ['show', '--property=NTPSynchronized'], signal);
  const answer = /^NTPSynchronized=(yes|no)$/m.exec(text)?.[1];
  return answer === undefined ? null : answer === 'yes';
}

/** Seconds from 1900, where NTP begins to count, to 1970. */
const epoch = 2_208_988_800;

/** @returns seconds that this host is ahead of the server */
function askTimeServer(server: string, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type: 'udp4' });
    let ended = false;
    // Closed once: a socket that is closed already throws, and from a timer nobody would catch that.
    const end = (outcome: Error | number): void => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      socket.close();
      if (typeof outcome === 'number') resolve(outcome);
      else reject(outcome);
    };
    const stop = (): void => end(new Error('interrupted', { cause: signal.reason }));
    const timer = setTimeout(() => end(new Error(`no answer in ${patience / 1_000} s`)), patience);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) return stop();
    socket.on('error', end);
    const question = Buffer.alloc(48);
    question[0] = 0x23; // Version 4, client.
    const sent = Date.now();
    socket.once('message', (answer) => {
      const middle = (sent + Date.now()) / 2 / 1_000;
      if (answer.length < 48 || (answer.readUInt32BE(40) === 0 && answer.readUInt32BE(44) === 0))
        end(new Error('its answer is no time'));
      else end(middle - (answer.readUInt32BE(40) - epoch + answer.readUInt32BE(44) / 2 ** 32));
    });
    socket.send(question, 123, server, (error) => {
      if (error) end(error);
    });
  });
}
