/** How long the other end of a connection may say nothing, counted in ticks. */
export interface Patience {
  /** Milliseconds between two looks. */
  readonly tick: number;
  /** Silent ticks after which it is asked whether it lives. */
  readonly askAfter: number;
  /** Silent ticks after which it is given up. */
  readonly giveUpAfter: number;
  /**
   * Milliseconds within which one document must be answered. Plans read a Git repository, so they get more. Streams may take
   * as long as they like, their head comes with the first document, and a quiet service has none; and so may what an endpoint
   * calls `unhurried`. Of those, an agent that is silent must answer that it lives.
   */
  readonly answerWithin: { readonly GET: number; readonly POST: number };
}

/** 15 s without a word, of which it had 10 s to answer a question: longer than any work blocks an agent. */
export const usualPatience: Patience = {
  tick: 1_000,
  askAfter: 5,
  giveUpAfter: 15,
  answerWithin: { GET: 15_000, POST: 120_000 },
};

interface Silence {
  /** Bytes that came so far. */
  readonly heard: () => number;
  /** Asks whether the other end lives, apart from what it has to say; resolves when it does. */
  readonly ask: (signal: AbortSignal) => Promise<unknown>;
  readonly giveUp: () => void;
}

/**
 * Tells an agent that has nothing to say from one that was stopped (SIGSTOP, a frozen cgroup, a hung disk): the kernel
 * keeps its connections open, so they look alike. Counts ticks and not time: a client that was itself stopped, or a
 * laptop that slept, has missed the ticks too.
 * @returns stops watching
 */
export function watchSilence({ heard, ask, giveUp }: Silence, patience: Patience): () => void {
  const stop = new AbortController();
  let [last, silent, asking] = [heard(), 0, false];
  const timer = setInterval(() => {
    const now = heard();
    silent = now === last ? silent + 1 : 0;
    last = now;
    if (silent >= patience.giveUpAfter) {
      end();
      giveUp();
    } else if (silent >= patience.askAfter && !asking) {
      asking = true;
      ask(stop.signal)
        .then(() => {
          silent = 0;
        })
        // Nobody answers: the connection itself breaks, or the silence goes on.
        .catch(() => undefined)
        .finally(() => {
          asking = false;
        });
    }
  }, patience.tick);
  const end = (): void => {
    clearInterval(timer);
    stop.abort();
  };
  return end;
}
