import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { Alertmanager } from '../../src/host/alertmanager.ts';
import { pause } from './pause.ts';

/** A real Alertmanager of our image, on the network of this host. */
export class RunningAlertmanager {
  readonly client: Alertmanager;
  readonly #container: string;

  private constructor(container: string, address: string) {
    this.#container = container;
    this.client = new Alertmanager(address);
  }

  /**
   * @param options.appliance whose containers it counts among
   * @param options.directory with alertmanager.yml and secrets
   */
  static async start(options: {
    readonly appliance: string;
    readonly port: number;
    readonly directory: string;
  }): Promise<RunningAlertmanager> {
    const listen = `127.0.0.1:${options.port}`;
    const { stdout } = await execa('docker', [
      ...['run', '--detach', '--rm', '--network=host', `--volume=${options.directory}:/etc/alertmanager:ro`],
      ...['--label', `appliance.name=${options.appliance}`, '--label', 'appliance.service=alertmanager'],
      'appliance/alertmanager:1',
      ...[`--web.listen-address=${listen}`, '--log.level=debug', '--enable-feature=receiver-name-in-metrics'],
    ]);
    const running = new RunningAlertmanager(stdout.trim(), `http://${listen}`);
    for (let tries = 0; tries < 150; tries += 1) {
      if (
        await running.client.ready().then(
          () => true,
          () => false,
        )
      )
        return running;
      await delay(200);
    }
    const { stderr } = await execa('docker', ['logs', running.#container], { reject: false });
    await running.stop();
    throw new Error(`Alertmanager did not start: ${stderr}`);
  }

  /** Stops answering, without ending. */
  async pause(): Promise<void> {
    await pause(this.#container);
  }

  async unpause(): Promise<void> {
    await execa('docker', ['unpause', this.#container]);
  }

  async stop(): Promise<void> {
    await execa('docker', ['rm', '--force', '--volumes', this.#container], { reject: false });
  }
}
