import { describe, expect, it } from 'vitest';
import { type Gatherers, gather } from '../../src/agent/doctor/gather.ts';
import { type EvidenceName, evidenceTitles } from '../../src/capabilities/doctor/evidence.ts';
import { ApplianceError } from '../../src/lib/errors.ts';

const names = Object.keys(evidenceTitles).filter((name): name is EvidenceName => name in evidenceTitles);

/** Gatherers that all fail but for those that are given. */
function gatherers(over: Partial<Gatherers>): Gatherers {
  const fails = () => {
    throw new ApplianceError('engine_unreachable', 'the engine is gone');
  };
  const base = {
    agent: fails,
    configuration: fails,
    engine: fails,
    live: fails,
    services: fails,
    edge: fails,
    routes: fails,
    instances: fails,
  };
  const rest = {
    requests: fails,
    logs: fails,
    database: fails,
    environment: fails,
    machine: fails,
    disk: fails,
    models: fails,
    training: fails,
  };
  const last = {
    page: fails,
    cache: fails,
    predictions: fails,
    certificates: fails,
    alerting: fails,
    backups: fails,
    operations: fails,
    schema: fails,
  };
  return { ...base, ...rest, ...last, security: fails, ...over };
}
const never = () => new Promise<never>(() => undefined);
const open = new AbortController().signal;

describe('gathering', () => {
  it('keeps what was seen beside what throws, rejects and hangs', async () => {
    const seen = await gather(
      gatherers({
        engine: () => ({ problem: null }),
        edge: never,
        schema: async () => Promise.reject(new Error('locked')),
      }),
      names,
      open,
      50,
    );
    expect(seen.engine).toEqual({ known: true, value: { problem: null } });
    expect(seen.edge).toEqual({ known: false, why: 'no answer within 50 ms' });
    expect(seen.schema).toEqual({ known: false, why: 'locked' });
    expect(seen.logs).toEqual({ known: false, why: 'the engine is gone' });
  });
  it('looks at nothing that nobody asked for', async () => {
    let looked = 0;
    const machine = () => {
      looked += 1;
      return { processors: 1, load: 0, memory: 1, memoryFree: 1 };
    };
    const seen = await gather(gatherers({ machine }), ['machine', 'machine'], open, 50);
    expect([looked, seen.machine.known, seen.disk]).toEqual([1, true, { known: false, why: 'nobody asked for it' }]);
  });
  it('ends with its caller', async () => {
    const stop = new AbortController();
    const running = gather(gatherers({ edge: never }), ['edge'], stop.signal, 60_000);
    stop.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
  });
});
