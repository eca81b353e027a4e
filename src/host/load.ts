export interface LoadRequest {
  /** `http://127.0.0.1:8080/health` */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly connections: number;
  /** So many requests in all, or for so many seconds. */
  readonly requests?: number | undefined;
  readonly seconds?: number | undefined;
  /** Most requests a second; left out: as fast as answers come. */
  readonly perSecond?: number | undefined;
}

/** What came of a load. Latencies are seconds. */
export interface LoadSeen {
  readonly latencies: readonly number[];
  /** Answers of 500 and above. */
  readonly failed: number;
  /** Requests without an answer: broken connections and timeouts. */
  readonly lost: number;
  /** Answers 429: a rate limit stood in the way. */
  readonly limited: number;
  /** Other answers that are no success. */
  readonly refused: number;
  readonly seconds: number;
}

/**
 * Sends requests with autocannon and counts what comes back, each latency by itself.
 * @param onProgress told of how many answers there are, about once a second
 * @throws the reason of the signal
 */
export async function sendLoad(
  request: LoadRequest,
  onProgress: (answers: number) => void,
  signal: AbortSignal,
): Promise<LoadSeen> {
  signal.throwIfAborted();
  const { default: autocannon } = await import('autocannon');
  const latencies: number[] = [];
  let [failed, lost, limited, refused] = [0, 0, 0, 0];
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const instance = autocannon(
      {
        url: request.url,
        headers: { ...request.headers },
        connections: request.connections,
        timeout: 10,
        ...(request.requests === undefined ? {} : { amount: request.requests }),
        ...(request.seconds === undefined ? {} : { duration: request.seconds }),
        ...(request.perSecond === undefined ? {} : { overallRate: request.perSecond }),
      },
      (error) => {
        signal.removeEventListener('abort', stop);
        if (signal.aborted) reject(signal.reason);
        else if (error) reject(error);
        else resolve({ latencies, failed, lost, limited, refused, seconds: (performance.now() - began) / 1_000 });
      },
    );
    const stop = (): void => instance.stop?.();
    signal.addEventListener('abort', stop, { once: true });
    instance.on('response', (_client, status, _bytes, milliseconds) => {
      latencies.push(milliseconds / 1_000);
      if (status === 429) limited += 1;
      else if (status >= 500) failed += 1;
      else if (status >= 400) refused += 1;
    });
    instance.on('reqError', () => {
      lost += 1;
    });
    instance.on('tick', () => onProgress(latencies.length));
  });
}
