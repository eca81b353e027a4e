import type { SyntheticConfig } from '../../../config/synthetic.ts';
import { type SampleAnswer, type SampleQuestion, sampleHttp } from '../../../host/http-sample.ts';
import type { Clock } from '../../../lib/clock.ts';

/** A declared request, ready to be sent to any of the addresses of its service. */
export interface PreparedRequest extends Omit<SampleQuestion, 'address' | 'timeout'> {
  readonly addresses: readonly string[];
  /** The status of a good answer. */
  readonly expected: number;
}

/** What became of a request. */
export interface SyntheticSample {
  readonly good: boolean;
  /** Seconds until its last byte; null where nobody answered at all. */
  readonly seconds: number | null;
  /** Why it is a failure; null for a good one. */
  readonly why: string | null;
}

export interface StageLoadOptions {
  readonly limits: Pick<SyntheticConfig, 'rate' | 'concurrency' | 'timeout'>;
  readonly requests: readonly PreparedRequest[];
  /** Most requests in its life. */
  readonly most: number;
  /** Tag that answers must carry where they carry one. */
  readonly tag: string;
  readonly clock: Clock;
  readonly onSample: (sample: SyntheticSample) => void;
}

/**
 * Sends declared requests to a new release while its stage is held. Nothing queues: what is wanted is a number that each
 * look at the stage sets anew, and a request is sent only when the rate has room for it and one of the few places is free.
 */
export class StageLoad {
  readonly #options: StageLoadOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #wanted = 0;
  #sent = 0;
  #inFlight = 0;
  #wake: () => void = () => {};

  constructor(options: StageLoadOptions) {
    this.#options = options;
    this.#running = this.#run().catch(() => undefined);
  }

  /** Requests that were sent. */
  get sent(): number {
    return this.#sent;
  }

  /** Answers that are wanted and have not come yet. */
  get wanted(): number {
    return this.#wanted + this.#inFlight;
  }

  /** How many more answers are wanted, counted from now; 0 stops it. */
  want(answers: number): void {
    const left = this.#options.most - this.#sent;
    this.#wanted = Math.max(0, Math.min(left, answers - this.#inFlight));
    this.#wake();
  }

  /** Sends nothing any more; what is in flight is let go and not counted. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, limits } = this.#options;
    const { signal } = this.#stop;
    const open = new Set<Promise<void>>();
    while (!signal.aborted) {
      if (this.#wanted === 0 || this.#inFlight >= limits.concurrency) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      this.#wanted -= 1;
      const one: Promise<void> = this.#send(this.#sent).finally(() => open.delete(one));
      open.add(one);
      this.#sent += 1;
      await clock.sleep(1_000 / limits.rate, signal).catch(() => undefined);
    }
    await Promise.allSettled(open);
  }

  async #send(turn: number): Promise<void> {
    const { requests, limits, tag, onSample } = this.#options;
    const request = requests[turn % requests.length];
    const address = request?.addresses[Math.floor(turn / requests.length) % request.addresses.length];
    if (!request || address === undefined) return;
    this.#inFlight += 1;
    try {
      const answer = await sampleHttp({ ...request, address, timeout: limits.timeout }, this.#stop.signal);
      onSample(judged(answer, request, tag));
    } catch {
      // Stopped: it says nothing about the release.
    } finally {
      this.#inFlight -= 1;
      this.#wake();
    }
  }
}

/** A 200 alone is no proof: an answer that names another release is none of this one. */
function judged(
  { status, headers, seconds, why, late }: SampleAnswer,
  { method, path, expected }: PreparedRequest,
  tag: string,
): SyntheticSample {
  const release = headers['x-appliance-release'];
  const trouble =
    status === null
      ? (why ?? 'no answer')
      : status !== expected
        ? `status ${status} instead of ${expected}`
        : release !== undefined && release !== tag
          ? `answered by ${String(release)}`
          : null;
  return {
    good: trouble === null,
    seconds: status === null && !late ? null : seconds,
    why: trouble === null ? null : `${method} ${path.replace(/\?.*$/, '')}: ${trouble}`,
  };
}
