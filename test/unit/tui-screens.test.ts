import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { widthOf } from '../../src/tui/line.ts';
import { modelOrders } from '../../src/tui/orders/models.ts';
import { releaseOrders } from '../../src/tui/orders/releases.ts';
import { rolloutOrders } from '../../src/tui/orders/rollout.ts';
import { stackOrders } from '../../src/tui/orders/stack.ts';
import { screenNames } from '../../src/tui/screen-names.ts';
import { screens } from '../../src/tui/screens/table.ts';
import { initialState, type Overlay, type State, type View } from '../../src/tui/state.ts';
import { ascii, frameOf, keys, lookedAt, picture, recordedState, service, utf8 } from '../support/screens.ts';

beforeAll(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: lookedAt });
});
afterAll(() => {
  vi.useRealTimers();
});

const on = (screen: View['screen'], state: State = recordedState(), view: Partial<View> = {}): State => ({
  ...state,
  view: { ...state.view, screen, ...view },
});
const plan = {
  kind: 'rollback',
  from: 'v1.0',
  to: 'v0.9',
  strategy: 'blue-green',
  colour: 'green' as const,
  steps: [{ action: 'shift-traffic', title: 'shift the traffic', cause: 'v0.9 is warm', seconds: 0.4 }],
  changes: [{ area: 'image' as const, name: 'backend', kind: 'changed' as const, from: 'sha256:2', to: 'sha256:1' }],
  notes: ['the schema stays'],
  predictedSeconds: 0.9,
  predictedDowntimeSeconds: 0,
};
const dialog = (patch: Partial<Extract<Overlay, { kind: 'dialog' }>> = {}): Overlay => ({
  kind: 'dialog',
  order: releaseOrders.rollback('v0.9'),
  plan,
  typed: '',
  go: false,
  top: 0,
  ...patch,
});

describe('the table of screens', () => {
  it('has every name once, in its order, with a key of its own', () => {
    expect(screens.map(({ name }) => name)).toEqual(screenNames);
    expect(new Set(screens.map(({ key }) => key)).size).toBe(screens.length);
  });

  it('gives every action a help sentence, and no key two meanings', () => {
    expect(keys.conflicts()).toEqual([]);
    for (const { action, help } of keys.bindings) expect(help, action).not.toBe('');
  });
});

describe('every screen at every size', () => {
  const sizes = [20, 60, 80, 100, 132, 300].flatMap((width) =>
    [8, 12, 23, 49, 79].map((height) => [width, height] as const),
  );
  const states: Record<string, () => State> = {
    'nothing yet': () => initialState(lookedAt),
    everything: () => recordedState(),
    'no agent': () => ({
      ...initialState(lookedAt),
      link: { kind: 'absent', code: 'agent_unreachable', message: 'no agent is running', retryAt: lookedAt + 3_000 },
    }),
    'agent lost, engine down': () =>
      recordedState({
        link: { kind: 'lost', code: 'agent_unreachable', message: 'gone', retryAt: lookedAt + 2_000 },
        problem: { message: 'no engine', hint: 'start it' },
      }),
    '500 services': () => {
      const state = recordedState();
      const services = Array.from({ length: 500 }, (_, index) => service(`worker-${index}-日本語`, index));
      return { ...state, status: state.status && { ...state.status, services } };
    },
    'nothing in it': () => {
      const state = recordedState({ history: [], logs: [], series: new Map() });
      const empty = { data: [], problem: undefined };
      return {
        ...state,
        status: state.status && {
          ...state.status,
          services: [],
          release: null,
          warm: null,
          rollout: null,
          alerts: [],
          findings: [],
        },
        documents: {
          releases: empty,
          models: empty,
          audit: empty,
          backups: { data: { snapshots: [], jobs: [] }, problem: undefined },
          certificates: empty,
          checks: empty,
          alerts: { data: { alertmanager: null, onCall: null, alerts: [], silences: [] }, problem: undefined },
        },
      };
    },
    'refused documents': () => {
      const refused = {
        data: undefined,
        problem: { message: 'the registry\u001b[2J is damaged', hint: 'appliance models import' },
      };
      const names = ['releases', 'models', 'backups', 'certificates', 'alerts', 'checks', 'audit'] as const;
      return recordedState({ documents: Object.fromEntries(names.map((name) => [name, refused])) });
    },
  };
  const overlays: Record<string, Overlay | undefined> = {
    none: undefined,
    help: { kind: 'help', top: 3 },
    palette: { kind: 'palette', text: 'roll', chosen: 1 },
    dialog: dialog(),
    'dialog that waits': dialog({ plan: 'asking' }),
    'dialog refused': dialog({ plan: { message: 'v0.9 cannot read schema 3\nit reads 2', hint: 'restore first' } }),
    severe: dialog({ order: stackOrders.down('routing-ml', recordedState()), plan: undefined, typed: 'rout' }),
    look: { kind: 'look', title: 'Release v0.9', command: 'appliance releases show v0.9', lines: undefined, top: 0 },
    leave: { kind: 'leave', go: false },
  };

  it.each(Object.entries(states))('%s fits exactly', (_, make) => {
    for (const name of screenNames) {
      const state = on(name, make());
      for (const [width, height] of sizes) {
        for (const glyphs of [utf8, ascii]) {
          const lines = frameOf(state, width, height, glyphs);
          expect(lines).toHaveLength(height);
          for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(width);
        }
      }
    }
  });

  it.each(Object.entries(overlays))('with %s over it fits exactly', (_, overlay) => {
    for (const [width, height] of sizes) {
      const lines = frameOf(
        on('releases', recordedState({ waiting: ['appliance alerts test'] }), { overlay }),
        width,
        height,
      );
      expect(lines).toHaveLength(height);
      for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(width);
    }
  });

  it('sends nothing to the terminal that could steer it, and only ASCII to a terminal without UTF-8', () => {
    for (const make of Object.values(states)) {
      for (const name of screenNames) {
        const text = picture(on(name, make()), 120, 40, ascii);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: looks for control characters
        expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f]/);
        expect(text.replace(/[日本語予測]/g, '')).toMatch(/^[\x20-\x7e\n]*$/);
      }
    }
  });

  it('every coloured sign says the same without colour', () => {
    // A state with a colour that means something has a sign or a word of its own on the same line.
    for (const name of screenNames) {
      for (const line of frameOf(on(name), 120, 40)) {
        for (const { color, text } of line) {
          if (color === 'red' || color === 'green') expect(text.trim(), `${name}: ${text}`).not.toBe('');
        }
      }
    }
  });
});

describe('the overview', () => {
  it('says at one glance how it is, at 80 × 24', () => {
    const text = picture(on('overview'), 80, 23);
    for (const wanted of [
      /✗ routing-ml {2}v1\.0 on blue/,
      /Release +v1\.0 on blue, live for 2 h 14 min/,
      /Traffic +blue 75 % █+░+ green 25 %/,
      /✗ redis has exited with status 137, expected running/,
      /→ appliance logs redis/,
      /▸✗ redis/,
    ])
      expect(text).toMatch(wanted);
  });

  it('has model, backup with its proof, certificates and bars where there is room', () => {
    const text = picture(on('overview'), 200, 49);
    expect(text).toMatch(/Model +routing-similarity 2026\.2/);
    expect(text).toMatch(/Backup +✓ made 7 h 0 min ago {2}✓ restore proven 12 d 1 h ago {2}next in 17 h 0 min/);
    expect(text).toMatch(/Certs +\? 9 days left {2}日本\.example, Example CA, and 1 more/);
    expect(text).toMatch(/[▁▂▃▄▅▆▇█]{12}/);
  });

  it('tells how to start an agent that was never there', () => {
    const text = picture(
      {
        ...initialState(lookedAt),
        link: { kind: 'absent', code: 'agent_unreachable', message: 'no agent is running', retryAt: lookedAt + 3_000 },
      },
      80,
      23,
    );
    expect(text).toContain('No agent is running.');
    expect(text).toContain('appliance agent --foreground');
    expect(text).toContain('trying again in 3 s');
  });

  it('keeps the marked service in sight and counts the hidden ones', () => {
    const state = recordedState();
    const services = Array.from({ length: 500 }, (_, index) => service(`worker-${index}`, index));
    const many: State = { ...state, status: state.status && { ...state.status, services } };
    for (const index of [0, 7, 250, 499, 1_000]) {
      const text = picture(on('services', many, { lists: { services: { id: undefined, index, filter: '' } } }), 80, 23);
      expect(text).toMatch(/▸[✓✗] worker-/);
      const [, above = '0'] = /↑ (\d+) above/.exec(text) ?? [];
      const [, below = '0'] = /↓ (\d+) below/.exec(text) ?? [];
      const rows = text.match(/^.[✓✗] worker-/gm)?.length ?? 0;
      expect(Number(above) + Number(below) + rows).toBe(500);
    }
  });
});

describe('lists', () => {
  it('are filtered by what stands in their rows', () => {
    const filtered = on('releases', recordedState(), {
      lists: { releases: { id: undefined, index: 0, filter: 'warm|gone' } },
    });
    const text = picture(filtered, 100, 30);
    expect(text).toContain('2 of 4 releases');
    expect(text).toMatch(/v0\.9/);
    expect(text).not.toMatch(/v0\.8/);
  });

  it('say of an empty one what fills it', () => {
    const empty = { data: [], problem: undefined };
    const state = recordedState({ documents: { releases: empty, models: empty, audit: empty } });
    expect(picture(on('models', state), 80, 23)).toContain('appliance models add DIRECTORY');
    expect(picture(on('releases', state), 80, 23)).toContain('appliance deploy <tag>');
  });

  it('a mark stays on its row when rows come before it', () => {
    const releases = screens.find(({ name }) => name === 'releases');
    const state = on('releases');
    const marked = { ...state, view: releases?.mark?.(state, 1) ?? state.view };
    const [first, ...others] = marked.documents.releases?.data ?? [];
    const more = first ? [{ ...first, id: 'v1.1', tag: 'v1.1' }, first, ...others] : [];
    const later: State = {
      ...marked,
      documents: { ...marked.documents, releases: { data: more, problem: undefined } },
    };
    expect(releases?.place?.(marked).index).toBe(1);
    expect(releases?.place?.(later).index).toBe(2);
    expect(picture(later, 100, 30)).toMatch(/▸• v0\.9/);
  });
});

describe('a dialog', () => {
  const text = (overlay: Overlay) => picture(on('releases', recordedState(), { overlay }), 90, 30);

  it('shows the command, the plan with times and changes, and Cancel first', () => {
    const shown = text(dialog());
    expect(shown).toContain('→ appliance rollback v0.9');
    expect(shown).toContain('about 900 ms, no downtime');
    expect(shown).toContain('~ image backend  sha256:2 → sha256:1');
    expect(shown).toMatch(/ 1 {2}shift the traffic +400 ms {2}v0\.9 is warm/);
    expect(shown).toContain('▸ Cancel');
  });

  it('does not go on before there is a plan, or a severe one without its name', () => {
    expect(text(dialog({ plan: 'asking', go: true }))).toContain('waiting for the plan');
    expect(text(dialog({ plan: { message: 'no', hint: undefined }, go: true }))).toContain('it cannot be done now');
    const severe = { order: stackOrders.down('routing-ml', recordedState()), plan: undefined, go: true };
    expect(text(dialog({ ...severe, typed: 'rout' }))).toContain('the name must be typed');
    expect(text(dialog({ ...severe, typed: 'routing-ml' }))).toContain('Enter does it');
  });
});

describe('the frame', () => {
  it('says what was done with the command that does the same', () => {
    const notice = { kind: 'pass', text: 'v0.9 is live', command: 'appliance rollback v0.9', at: lookedAt } as const;
    expect(picture(recordedState({ notice }), 80, 23)).toContain(' ✓ appliance rollback v0.9 · v0.9 is live');
    expect(picture(recordedState({ notice: { ...notice, at: lookedAt - 60_000 } }), 80, 23)).not.toContain(
      'v0.9 is live',
    );
  });

  it('hides from viewers the keys that change something', () => {
    const viewer = on('releases', recordedState({ link: { kind: 'up', access: 'viewer' } }));
    const text = picture(viewer, 100, 23);
    expect(text).toContain('read-only');
    expect(text.split('\n').at(-1)).not.toContain('deploy');
    expect(text.split('\n').at(-1)).toContain('? help');
  });

  it('shows the rollout with the samples that a verdict needs', () => {
    const text = picture(on('rollout'), 100, 30);
    expect(text).toContain('190 samples, 109 more needed');
    expect(text).toContain('v1.1 on green by policy flash, instead of v1.0 on blue');
    expect(text).toContain('stage 2 of 4: 25 %');
    expect(text).toMatch(/█+░+ 3 min 10 s of at least 10 min 00 s/);
  });

  it('tells all stages of a rollout, and first what does not pass where not all of it fits', () => {
    const state = recordedState();
    const rollout = state.status?.rollout;
    if (!state.status || !rollout) throw new Error('no rollout');
    expect(picture(on('rollout'), 80, 23)).toMatch(/ · 3 +50 % +stage +at least 10 min 00 s\n · 4 +100 %/);
    const good = { id: 'good', verdict: 'pass', observed: 'good', role: 'gate' } as const;
    const findings = [
      ...Array.from({ length: 12 }, () => good),
      { ...good, verdict: 'fail', observed: 'many errors' },
    ] as const;
    const many = { ...state, status: { ...state.status, rollout: { ...rollout, findings: [...findings] } } };
    const text = picture(on('rollout', many), 80, 23);
    expect(text).toMatch(/WHAT THE ANALYSIS SEES\n ✗ many errors {2}gate\n ✓ good/);
    expect(text).toMatch(/and \d+ more\n\n {3}STAGES\n[\s\S]* • 2 +25 %/);
  });

  it('cuts what is said twice of a finding, not the limit', () => {
    const state = recordedState();
    const rollout = state.status?.rollout;
    if (!state.status || !rollout) throw new Error('no rollout');
    const finding = {
      id: 'fast',
      verdict: 'pass' as const,
      observed: 'latency p95 9 ms (0 of 547 requests slower than the limit)',
      expected: 'less than 500 ms',
      samples: 547,
      role: 'gate' as const,
    };
    const seen = { ...state, status: { ...state.status, rollout: { ...rollout, findings: [finding] } } };
    expect(picture(on('rollout', seen), 80, 23)).toContain('p95 9 ms, expected less than 500 ms  547 samples  gate');
  });

  const running = {
    id: 'deploy-12',
    title: 'deploy v1.1',
    user: 'anna',
    startedAt: lookedAt - 12_000,
    step: 'start green with v1.1',
    detail: '2 of 4 containers',
    progress: 0.25,
    steps: [
      { title: 'check the host', state: 'done' as const, seconds: 0.4 },
      { title: 'start green with v1.1', state: 'running' as const, seconds: 3 },
    ],
    goingBack: false,
  };

  it('shows a deploy before its first stage on the screen of rollouts, and how the last one has ended', () => {
    const state = recordedState();
    const none = { ...state, status: state.status && { ...state.status, rollout: null } };
    const before = picture(on('rollout', { ...none, operation: running }), 80, 23);
    expect(before).toMatch(/Running +deploy v1\.1 █+░+ 25 % +12 s · anna[\s\S]*✓ check the host[\s\S]*• start green/);
    expect(before).not.toContain('No rollout is running');
    const after = picture(on('rollout', none), 80, 23);
    expect(after).toMatch(/Last +✓ v1\.0 is live \(was v0\.9\)[\s\S]*No rollout is running/);
  });

  it('says on every screen what the running operation does', () => {
    const sent = { kind: 'running' as const, text: 'sent', command: 'appliance deploy v1.1', at: lookedAt };
    for (const screen of screenNames) {
      const text = picture(on(screen, recordedState({ operation: running, notice: sent })), 80, 23);
      expect(text, screen).toMatch(/start green with v1\.1 {2}2 of 4 containers/);
    }
    const long = { ...running, title: 'model-promote routing-similarity@2026.1' };
    expect(picture(on('overview', recordedState({ operation: long })), 80, 23)).toMatch(
      /Running +model-promote routing-similarity@2026\.1 [█░]* ?25 % +12 s · anna/,
    );
  });

  it('says what became of an order, where there is no room for its command as well', () => {
    const command = 'appliance backup restore 20300101T050000Z-1f3c';
    const text = 'restore 20300101T050000Z-1f3c done in 12.2 s';
    const notice = { kind: 'pass' as const, text, command, at: lookedAt };
    const last = (width: number) =>
      picture(on('backups', recordedState({ notice })), width, 23)
        .split('\n')
        .at(-2);
    expect(last(120)).toBe(` ✓ ${command} · ${text}`);
    expect(last(80)).toMatch(/^ ✓ restore 20300101T050000Z-1f3c done in 12\.2 s · appliance backup re.*…$/);
  });

  it('says on every screen that the engine is away and containers may be otherwise by now', () => {
    const state = recordedState();
    const engine = {
      id: 'engine',
      verdict: 'fail' as const,
      observed: 'the Docker Engine does not answer (list containers: connect ENOENT /run/docker.sock)',
      hint: 'start it: systemctl start docker',
    };
    const away = { ...state, status: state.status && { ...state.status, findings: [engine] } };
    for (const screen of screenNames) {
      expect(picture(on(screen, away), 80, 23).split('\n')[2], screen).toContain(
        ' ✗ the Docker Engine does not answer; containers are shown as they were.',
      );
    }
    expect(picture(on('logs', away), 120, 23)).toContain('→ start it: systemctl start docker');
  });

  it('tells why the last operation has failed, on as many lines as that takes', () => {
    const state = recordedState();
    const message = `v0.9 was taken back at 30 %: ${'a reason '.repeat(8)}to the end`;
    const failed = {
      ...(state.history[0] as State['history'][number]),
      result: 'rolled_back' as const,
      error: { code: 'step_failed', message, exit: 1, hint: 'appliance logs' },
    };
    expect(picture(on('overview', { ...state, history: [failed] }), 80, 30)).toContain('to the end');
  });

  it('breaks long lines of what is looked at, so that nothing of a path or a list is lost', () => {
    const directory = `/var/lib/appliance/${'models/'.repeat(12)}2026.1`;
    const lines = [[{ text: 'Directory    ', dim: true }, { text: directory }]];
    const look = { kind: 'look' as const, title: 'Model', command: 'appliance models show', lines, top: 0 };
    const text = picture(on('models', recordedState(), { overlay: look }), 80, 23);
    expect(text.replace(/\s/g, '')).toContain(directory);
  });

  it('names the model that serves where it is no version of the list, and the share of a second one', () => {
    const state = recordedState();
    const models = state.documents.models?.data?.map((model, index) => ({
      ...model,
      inForce: false,
      weight: index === 0 ? 0.25 : null,
    }));
    const documents = { ...state.documents, models: { data: models, problem: undefined } };
    const text = picture(on('models', { ...state, documents }), 80, 23);
    expect(text).toContain('? routing-similarity 2026.2 serves  a1b2c3d4e5f6, from the directory itself');
    expect(text).toMatch(/2026\.3 +registered +25 %/);
    expect(picture(on('models'), 80, 23)).not.toContain('directory itself');
  });

  it('help has every key', () => {
    const text = picture(on('overview', recordedState(), { overlay: { kind: 'help', top: 0 } }), 120, 140);
    for (const { help } of keys.bindings) expect(text).toContain(help);
  });
});

describe('backups, certificates and checks', () => {
  const marked = (screen: View['screen'], index: number, width = 120, height = 40) =>
    picture(on(screen, recordedState(), { lists: { [screen]: { id: undefined, index, filter: '' } } }), width, height);

  it('a snapshot is good only when a restore of it was proven', () => {
    const text = marked('backups', 2);
    expect(text).toMatch(/\? 20300101T050000Z-1f3c .* never/);
    expect(text).toMatch(/▸✓ 20291220T050000Z-0c4e .* 12 d 1 h ago/);
    expect(text).toMatch(/· 20291124T050000Z-e912 .* the next prune forgets it/);
    expect(text).toMatch(/✗ 20291101T050000Z-5d21 .* it was made by a newer appliance/);
    expect(text).toContain('restored in 41.2 s');
    expect(text).toMatch(/backup +✓ done 7 h 0 min ago, next in 17 h 0 min {2}daily at 06:00 Europe\/Berlin/);
  });

  it('a certificate is compared with what the edge shows, and the last failure is told', () => {
    expect(marked('certificates', 2)).toMatch(/▸✗ intern +300 +another/);
    expect(marked('certificates', 2)).toContain('another one: 77FF');
    expect(marked('certificates', 1)).toMatch(/▸\? asia +9 +yes[\s\S]*✗ 6 h 0 min ago: the name 日本\.example/);
  });

  it('a check says what was seen, what was expected and what to do', () => {
    const text = marked('checks', 0);
    expect(text).toContain('preflight ✓2   config ✗1   smoke ✓1   load ?1   security ✓1');
    expect(text).toMatch(/Observed +✗ 0644: everybody may read it\n Expected +0600 or less\n Do +→ chmod 600 \.env/);
    expect(marked('checks', 1)).toContain('190, 109 more needed');
  });
});

describe('what the last minute has answered', () => {
  const said = (requests: NonNullable<State['status']>['requests'], width = 100) => {
    const state = recordedState();
    return picture({ ...state, status: state.status && { ...state.status, requests } }, width, 40);
  };

  it('has units and bars, also where nothing was asked', () => {
    expect(said({ seconds: 60, perSecond: 12.4, errorRatio: 0.0021, p95: 0.084 })).toMatch(
      /Requests {2}12\.4\/s [▁-█]+ {2}errors 0\.21 % [▁-█]+ {2}p95 84 ms [▁-█]+/,
    );
    expect(said({ seconds: 60, perSecond: 0, errorRatio: null, p95: null }, 60)).toContain(
      'Requests  0.0/s  errors –  p95 –',
    );
    expect(said({ seconds: 60, perSecond: 1_234, errorRatio: 0.00002, p95: 2.5 }, 60)).toContain(
      '1234/s  errors < 0.01 %  p95 2.5 s',
    );
    expect(said(null)).toContain('nobody reads the access log yet');
  });
});

describe('a plan', () => {
  it('names the approvals that are missing, and the command that gives each', () => {
    const given = { time: '2030-01-01T11:00:00Z', user: 'anna', uid: 1_000, account: 'anna', ssh: null, comment: null };
    const role = (name: string, who: typeof given | null) => ({
      role: name,
      title: name,
      requirement: 'S4-1',
      holders: ['bert', 'carla'],
      given: who,
    });
    const approvals = {
      release: 'v1.1',
      digest: 'sha256:1',
      commit: '0'.repeat(40),
      policies: ['mlops'],
      verdict: 'inconclusive' as const,
      approvals: [role('qa', given), role('ops', null)],
      history: [],
    };
    const text = picture(
      on('releases', recordedState(), { overlay: dialog({ plan: { ...plan, to: 'v1.1', approvals } }) }),
      100,
      30,
    );
    expect(text).toMatch(
      /1 APPROVAL MISSING\n ✓ qa {2}by anna\n \? ops {2}→ appliance approve v1\.1 --role ops {2}to be asked: bert, carla/,
    );
  });

  it('gives what is done the room, and why where there is some left', () => {
    const title = 'stage 20300101T050000Z-1f3c and compare its hashes';
    const steps = [{ action: 'stage-snapshot', title, cause: 'nothing is touched before all is proven', seconds: 2 }];
    const shown = (width: number) =>
      picture(on('backups', recordedState(), { overlay: dialog({ plan: { ...plan, steps } }) }), width, 30);
    expect(shown(80)).toContain(`1  ${title}     2.0 s\n`);
    expect(shown(120)).toContain(`1  ${title}     2.0 s  nothing is touched before all is proven`);
  });
});

describe('a dialog without a plan of the agent', () => {
  const happens = (order: { readonly happens: readonly string[] }) => order.happens.join('\n');

  it('names what is stopped, started or restarted, and who is served meanwhile', () => {
    const state = recordedState();
    expect(happens(stackOrders.down('routing-ml', state))).toContain('Stops 5 containers: backend-1 (blue), backend-2');
    expect(happens(stackOrders.down('routing-ml', state))).toContain(
      'v1.0 on blue serves now, 12.4 requests a second.',
    );
    expect(happens(stackOrders.up(state))).toContain('Does not run as it should: redis exited');
    expect(happens(stackOrders.restart('backend', state))).toMatch(
      /backend-1 \(blue\): healthy for 2 h[\s\S]*backend-2/,
    );
    const last = { ...(state.history[0] as State['history'][number]), kind: 'restart', seconds: 12 };
    expect(happens(stackOrders.restart('backend', { ...state, history: [last] }))).toContain(
      '2 h 15 min ago, took 12.0 s.',
    );
  });

  it('says which model is in force, and how another one differs', () => {
    const state = recordedState();
    const text = happens(modelOrders.promote('routing-similarity@2026.1', state));
    expect(text).toContain('routing-similarity 2026.2 is in force now.');
    expect(text).toMatch(/From it to this one: accuracy 0\.9312 to 0\.92, f1 0\.91 to 0\.9/);
  });

  it('says where a rollout stands, and which gates a promotion passes over', () => {
    const state = recordedState();
    expect(happens(rolloutOrders.pause(state))).toContain('v1.1, stage 2 of 4: 25 %');
    expect(happens(rolloutOrders.promote(false, state))).toContain(
      'Passed over: errors (inconclusive): error ratio 0 of 190, expected below 1 %',
    );
    expect(happens(rolloutOrders.promote(true, state))).toContain('2 stages after it are passed too.');
    expect(happens(rolloutOrders.abort('v1.0', state))).toContain('The share of v1.1, 25 %, goes back to v1.0.');
  });
});
