import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../../src/host/process.ts';
import { notifyReady } from '../../src/host/service-manager.ts';

/** Listens where systemd would, and prints each message on one line. */
const listener = `
  use IO::Socket::UNIX;
  my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die $!;
  $| = 1;
  print "listening\\n";
  # It goes on reading: systemd-notify waits until its last message, an empty one, was taken.
  while ($socket->recv(my $message, 4096), 1) { print $message =~ s/\\n/ /gr, "\\n" }
`;

const installed = (await run('sh', ['-c', 'command -v systemd-notify'], { timeout: 5_000 })).exitCode === 0;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'notify-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('notifyReady', () => {
  it('does nothing where nobody asked', async () => {
    await expect(notifyReady('')).resolves.toBeUndefined();
  });

  it.runIf(installed)('tells the service manager', async () => {
    const socket = join(directory, 'notify.sock');
    const child = spawn('perl', ['-e', listener, socket]);
    try {
      const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
      expect((await lines.next()).value).toBe('listening');
      const said = lines.next();
      await notifyReady(socket);
      expect((await said).value).toMatch(/\bREADY=1\b/);
    } finally {
      child.kill();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
  });
});
