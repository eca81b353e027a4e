import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Client } from '../../src/api/client.ts';
import { connectSocket } from '../../src/api/socket.ts';
import { verbNames } from '../../src/cli/catalog.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { ApplianceError } from '../../src/lib/errors.ts';
import { pathsFor } from '../../src/lib/paths.ts';
import { Feed } from '../../src/tui/feed.ts';
import { Hand } from '../../src/tui/hands/hand.ts';
import { Keyboard } from '../../src/tui/hands/keyboard.ts';
import { choicesFor, fuzzyScore, harmless, intentOf, splitWords } from '../../src/tui/hands/palette.ts';
import { LogFilter } from '../../src/tui/logs/filter.ts';
import { hiddenLines } from '../../src/tui/picture.ts';
import { screens } from '../../src/tui/screens/table.ts';
import { readSettings } from '../../src/tui/settings.ts';
import { initialState, type State } from '../../src/tui/state.ts';
import { Store } from '../../src/tui/store.ts';
import { temporaryRoot } from '../e2e/stage/face.ts';
import { openStage } from '../e2e/stage/stage.ts';
import { keys, picture, recordedState, utf8, verbs } from '../support/screens.ts';

let place: ReturnType<typeof temporaryRoot>;
let closing: (() => unknown)[] = [];
beforeEach(() => {
  place = temporaryRoot();
});
afterEach(async () => {
  for (const close of closing.reverse()) await close();
  closing = [];
  place.remove();
});

/** The screens without a terminal: keys go in, pictures come out; the agent's own server answers. */
async function open({ stepTime = 10, viewer = false } = {}) {
  closing.push(await openStage({ root: place.root, stepTime, logPause: 10, recorded: true }));
  const store = new Store<State>(initialState(Date.now()));
  const connect = async (): Promise<Client> => {
    const paths = pathsFor(place.root);
    const client = await connectSocket(viewer ? { ...paths, operatorSocket: join(place.root, 'none') } : paths);
    if (client) return client;
    throw new ApplianceError('agent_unreachable', 'no agent is running');
  };
  const feed = new Feed(store, connect, systemClock);
  const ran: (readonly string[])[] = [];
  const left: string[] = [];
  const hand = new Hand({
    store,
    client: () => feed.client,
    clock: systemClock,
    refresh: () => feed.refresh(),
    runVerb: async (words) => {
      ran.push(words);
    },
    write: () => undefined,
  });
  const canvas = { width: 120, height: 30, glyphs: utf8, filter: new LogFilter() };
  const keyboard = new Keyboard({
    store,
    keys,
    hand,
    verbs,
    filter: new LogFilter(),
    leave: (how) => left.push(how),
    redraw: () => left.push('redraw'),
    room: () => 20,
    hidden: () => hiddenLines(store.get(), canvas, keys),
    click: () => undefined,
  });
  const running = feed.run();
  closing.push(async () => {
    hand.close();
    feed.close();
    await running;
  });
  const shows = (wanted: RegExp) =>
    expect.poll(() => picture(store.get(), 120, 30), { timeout: 10_000 }).toMatch(wanted);
  const press = (...names: string[]) => keyboard.press(names);
  await shows(/v1\.0 on blue/);
  return { store, feed, hand, keyboard, press, shows, ran, left, shot: () => picture(store.get(), 120, 30) };
}

describe('an order', () => {
  it('is sent only after its dialog was agreed to, and says what became of it', async () => {
    const { press, shows, feed } = await open();
    press('4');
    await shows(/• v0\.9/);
    press('j', 'b');
    await shows(/appliance rollback v0\.9[\s\S]*about 6\.0 s[\s\S]*▸ Cancel/);
    press('Enter');
    await shows(/appliance rollback v0\.9 · Cancelled; nothing was touched/);
    expect(await feed.client?.ask('operations', {})).toEqual([]);
    press('b');
    await shows(/shift the traffic/);
    press('Tab', 'Enter');
    await shows(/✓ appliance rollback v0\.9 · back on v0\.9/);
    await shows(/v0\.9 on green/);
  });

  it('that is refused says why and leaves nothing behind', async () => {
    const { press, shows, feed } = await open({ stepTime: 200 });
    const busy = feed.client?.stream('up', {})[Symbol.asyncIterator]();
    await busy?.next();
    press('2', 'r', 'Tab', 'Enter');
    await shows(/✗ up is running, begun by .* → wait for it .*· appliance restart/);
  });

  it('runs a job of the clock, by its name', async () => {
    const { press, shows } = await open();
    press('7');
    await shows(/▸\? 20300101T050000Z/);
    press('J', 'Ctrl-U', ...'nothing', 'Enter');
    await shows(/There is no job "nothing"/);
    press('J', 'Ctrl-U', ...'backup', 'Enter');
    await shows(/→ appliance schedule run backup\n[\s\S]*daily at 06:00[\s\S]*▸ Cancel/);
    press('Tab', 'Enter');
    await shows(/✓ appliance schedule run backup/);
  });

  it('that is severe wants a name', async () => {
    const { press, shows, feed } = await open();
    press('2', 'D', 'Tab', 'Enter');
    await shows(/the name must be typed/);
    press(...'routing-ml', 'Enter');
    await shows(/✓ appliance down · down done/);
    expect(await feed.client?.ask('operations', {})).toHaveLength(1);
  });

  it('a plan that cannot be made is shown in its place', async () => {
    const { press, shows, store } = await open();
    press('4', 'd');
    press(...'nope', 'Enter');
    await shows(/✗ the repository has no tag nope/);
    press('Tab', 'Enter');
    expect(store.get().view.overlay?.kind).toBe('dialog');
    press('Esc');
    expect(store.get().view.overlay).toBeUndefined();
  });

  it('a viewer is told who may, and nothing is sent', async () => {
    const { press, shows, feed } = await open({ viewer: true });
    await shows(/read-only/);
    press('4', 'j', 'b');
    await shows(/Read-only: you came through the socket for viewers/);
    press(':', ...'up', 'Enter');
    await shows(/Read-only/);
    expect(await feed.client?.ask('operations', {})).toEqual([]);
    press('Enter');
    await shows(/appliance releases show/);
  });
});

describe('a look', () => {
  it('at a release names who has approved it, and the command for what is missing', async () => {
    const { press, shows } = await open();
    press('4');
    await shows(/• v0\.9/);
    press('j', 'Enter');
    await shows(
      /Approvals\n.*tech-lead {2}by anna, [^\n]*\n.*security {2}missing {2}appliance approve v0\.9 --role security {2}to be asked: bert/,
    );
  });
});

describe('keys', () => {
  it('Esc goes back one thing at a time', async () => {
    const { press, store } = await open();
    press('2', '4', '/', 'v', 'Enter');
    expect(store.get().view.lists.releases?.filter).toBe('v');
    press('Esc');
    expect(store.get().view).toMatchObject({ screen: 'releases', lists: { releases: { filter: '' } } });
    press('Esc');
    expect(store.get().view.screen).toBe('services');
    press('Esc', 'Esc', 'Esc');
    expect(store.get().view.screen).toBe('overview');
  });

  it('many at once move as many rows', async () => {
    const { press, shows } = await open();
    press('2', 'j', 'j', 'j');
    await shows(/▸✓ frontend-training/);
    press('G');
    await shows(/▸✓ redis/);
  });

  it('a paste is no row of commands', async () => {
    const { keyboard, press, store, shows } = await open();
    keyboard.paste('2jjq\nD');
    expect(store.get().view.screen).toBe('overview');
    await shows(/Pasted text is not taken as keys/);
    press('/');
    keyboard.paste('back\nend');
    expect(store.get().view.typing?.text).toBe('back end');
  });

  it('Ctrl-L draws anew, and changes nothing that is typed or asked', async () => {
    const { press, store, left } = await open();
    press('Ctrl-L', '/', 'a', 'Ctrl-L', 'b');
    expect(store.get().view.typing?.text).toBe('ab');
    press('Esc', ':', 'Ctrl-L', 'p');
    expect(store.get().view.overlay).toMatchObject({ kind: 'palette', text: 'p' });
    press('Esc', '?', 'Ctrl-L');
    expect(store.get().view.overlay).toMatchObject({ kind: 'help' });
    expect(left).toEqual(Array(4).fill('redraw'));
  });

  it('q asks only while an answer would be lost', async () => {
    const { press, store, left, shows } = await open();
    press('q');
    expect(left).toEqual(['quit']);
    store.set({ waiting: ['appliance alerts test'] });
    press('q');
    expect(left).toHaveLength(1);
    await shows(/answer to this would be lost[\s\S]*appliance alerts test/);
    press('Enter');
    expect(store.get().view.overlay).toBeUndefined();
    press('q', 'y');
    expect(left).toHaveLength(2);
  });
});

describe('the palette', () => {
  it('has every verb of the command line, and finds it by a few letters', () => {
    expect(verbs.map(({ name }) => name)).toEqual(verbNames);
    for (const name of verbNames) expect(choicesFor(name, verbs, screens)[0]?.name).toBe(name);
    expect(choicesFor('rlsh', verbs, screens)[0]?.name).toBe('releases show');
    expect(fuzzyScore('zzz', 'rollback')).toBeUndefined();
    expect(choicesFor('', verbs, screens)).toHaveLength(verbs.length + screens.length);
  });

  it('splits words as a shell does, and expands nothing', () => {
    expect(splitWords(`alerts ack X --comment "on it" 'a b'c $(id) ''`)).toEqual([
      'alerts',
      'ack',
      'X',
      '--comment',
      'on it',
      'a bc',
      '$(id)',
      '',
    ]);
  });

  it('runs what only looks, asks before anything else, and wants what is missing', () => {
    const state = recordedState();
    expect(intentOf('ps', verbs, state)).toEqual({ kind: 'shell', words: ['ps'] });
    expect(intentOf('appliance releases show v1.0', verbs, state)).toMatchObject({ kind: 'shell' });
    expect(intentOf('rollback v0.9', verbs, state)).toMatchObject({
      kind: 'order',
      order: { command: 'appliance rollback v0.9' },
    });
    for (const line of ['deploy v1.1 --policy flash', 'deploy v1.1 --policy=flash']) {
      const intent = intentOf(line, verbs, state);
      expect(intent).toMatchObject({ kind: 'order', order: { command: 'appliance deploy v1.1 --policy flash' } });
      // With its plan, and followed on the screens: a rollout takes hours, which nobody lends a terminal for.
      expect(intent).not.toHaveProperty('order.instead');
    }
    expect(intentOf('deploy v1.1 --strategy canary', verbs, state)).toHaveProperty('order.instead');
    expect(intentOf('rollback v0.9 --plan', verbs, state)).toMatchObject({ kind: 'shell' });
    expect(intentOf('down --volumes', verbs, state)).toMatchObject({
      kind: 'order',
      order: { severity: 'destructive' },
    });
    expect(intentOf('releases show', verbs, state)).toMatchObject({ kind: 'say' });
    expect(intentOf('schedule run backup', verbs, state)).toMatchObject({
      kind: 'order',
      order: { command: 'appliance schedule run backup' },
    });
    expect(intentOf('doctor 502', verbs, state)).toMatchObject({ kind: 'shell' });
    expect(intentOf('doctor 502 --fix', verbs, state)).toMatchObject({ kind: 'order' });
    for (const name of harmless) expect(verbNames).toContain(name);
    expect(intentOf('what is this', verbs, state)).toMatchObject({ kind: 'say' });
    // Every verb either only looks, or has a dialog.
    for (const { name, required } of verbs) {
      const intent = intentOf(`${name}${' x'.repeat(required)}`, verbs, state);
      expect(['shell', 'order']).toContain(intent.kind);
    }
  });

  it('a text is scrolled to its end and no further, so that the way back begins at once', async () => {
    const { press, store } = await open();
    const top = () => store.get().view.overlay;
    press('?', ...Array.from({ length: 30 }, () => 'PgDn'));
    const end = top();
    press('↓');
    expect(top()).toEqual(end);
    press('↑');
    expect(top()).toMatchObject({ top: (end?.kind === 'help' ? end.top : 0) - 1 });
    press('g');
    expect(top()).toMatchObject({ top: 0 });
  });

  it('completes with Tab, and runs on the terminal what was chosen', async () => {
    const { press, store, ran, shows } = await open();
    press(':', ...'rlsh', 'Tab');
    expect(store.get().view.overlay).toMatchObject({ kind: 'palette', text: 'releases show ' });
    press(...'v1.0', 'Enter');
    expect(ran).toEqual([['releases', 'show', 'v1.0']]);
    press(':', ...'screen audit', 'Enter');
    await shows(/Audit {2}4 entries/);
    press(':', ...'rollback', 'Enter');
    await shows(/→ appliance rollback\n/);
  });
});

describe('the file of the user', () => {
  const folder = mkdtempSync(join(tmpdir(), 'settings-'));
  const write = (text: string) => {
    mkdirSync(join(folder, 'appliance'), { recursive: true });
    writeFileSync(join(folder, 'appliance/screens.json'), text);
    return readSettings(screens, { XDG_CONFIG_HOME: folder });
  };
  afterEach(() => rmSync(join(folder, 'appliance'), { recursive: true, force: true }));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('changes keys, mouse and theme', () => {
    const settings = write(
      '{"mouse": true, "theme": "light", "keys": {"releases.rollback": ["R"], "quit": ["Ctrl-Q"]}}',
    );
    expect(settings).toMatchObject({ mouse: true, theme: 'light', problem: undefined });
    expect(settings.keys.actionFor('R', 'releases')?.action).toBe('releases.rollback');
    expect(settings.keys.actionFor('b', 'releases')).toBeUndefined();
    expect(settings.keys.actionFor('q', 'releases')).toBeUndefined();
    expect(readSettings(screens, { COLORFGBG: '0;15' }).theme).toBe('light');
    expect(readSettings(screens, {})).toMatchObject({ mouse: false, theme: 'dark', problem: undefined });
  });

  it.each([
    ['{', /is not used/],
    ['[]', /must be an object/],
    ['{"mice": true}', /no setting "mice"/],
    ['{"mouse": 1}', /mouse must be true or false/],
    ['{"theme": "red"}', /theme must be/],
    ['{"keys": {"quitt": ["x"]}}', /no action "quitt"; did you mean quit\?/],
    ['{"keys": {"quit": "x"}}', /must be a list of keys/],
    ['{"keys": {"quit": ["Ctrl-C"]}}', /must be a list of keys/],
    ['{"keys": {"quit": ["?"]}}', /\? is both help and quit/],
    ['{"keys": {"releases.pin": ["b"]}}', /b is both/],
  ])('%s is refused as a whole, with the reason', (text, reason) => {
    const settings = write(text);
    expect(settings.problem).toMatch(reason);
    expect(settings.keys.actionFor('q', 'overview')?.action).toBe('quit');
  });

  it('that cannot be read is said, not ignored', () => {
    write('{}');
    rmSync(join(folder, 'appliance/screens.json'));
    mkdirSync(join(folder, 'appliance/screens.json'));
    chmodSync(folder, 0o755);
    expect(readSettings(screens, { XDG_CONFIG_HOME: folder }).problem).toMatch(/EISDIR|illegal operation/);
  });
});
