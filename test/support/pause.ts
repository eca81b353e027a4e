import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';

/** Pauses a container. On a busy machine the engine sometimes gives up freezing its processes ("unable to freeze"). */
export async function pause(container: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const { exitCode, stderr } = await execa('docker', ['pause', container], { reject: false, timeout: 60_000 });
    if (exitCode === 0) return;
    if (tries === 5 || !stderr.includes('unable to freeze')) throw new Error(`docker pause ${container}: ${stderr}`);
    await delay(1_000);
  }
}
