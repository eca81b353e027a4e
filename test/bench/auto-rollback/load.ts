import { Agent, request } from 'node:http';

/** One request, as its client saw it. Times are milliseconds since 1970. */
export interface Answer {
  readonly begun: number;
  readonly ended: number;
  /** 0 when no answer came. */
  readonly status: number;
  readonly release: string | undefined;
}

/** Requests at a steady rate, whether they are answered in time or not, over kept connections; none is repeated. */
export function steadyLoad(url: string, perSecond: number): { stop(): Promise<readonly Answer[]> } {
  const agent = new Agent({ keepAlive: true });
  const asked: Promise<Answer>[] = [];
  const started = performance.now();
  // By the clock, not by the ticks: a timer that fires late makes up for what it has missed.
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - started) / 1_000) * perSecond);
    while (asked.length < due) asked.push(ask(url, agent));
  }, 5);
  return {
    stop: async () => {
      clearInterval(timer);
      const answers = await Promise.all(asked);
      agent.destroy();
      return answers;
    },
  };
}

function ask(url: string, agent: Agent): Promise<Answer> {
  const begun = Date.now();
  return new Promise((resolve) => {
    const end = (status: number, release?: string | string[]) =>
      resolve({ begun, ended: Date.now(), status, release: typeof release === 'string' ? release : undefined });
    const outgoing = request(url, { agent, timeout: 15_000 }, (answer) => {
      answer.resume();
      answer.once('end', () => end(answer.statusCode ?? 0, answer.headers['x-appliance-release']));
      answer.once('error', () => end(0));
    });
    outgoing.once('timeout', () => outgoing.destroy(new Error('no answer in 15 s')));
    outgoing.once('error', () => end(0));
    outgoing.end();
  });
}
