import type { Client } from '../../api/client.ts';
import { failureLine, successLine } from '../../api/describe.ts';
import type { ApplianceEvent } from '../../api/schema.ts';
import type { Clock } from '../../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../../lib/errors.ts';
import { oneLine } from '../../lib/text.ts';
import { copyLines, saveLines } from '../logs/take.ts';
import type { Intent, Order } from '../order.ts';
import type { Dialog, Notice, Overlay, State } from '../state.ts';
import type { Store } from '../store.ts';
import { show, showLogs } from '../update.ts';

export interface HandDeps {
  readonly store: Store<State>;
  /** The client of the agent; undefined while there is none. */
  readonly client: () => Client | undefined;
  readonly clock: Clock;
  /** Something was changed: what is shown is asked for again. */
  readonly refresh: () => void;
  /** Runs a verb of the command line on the terminal, which is handed over meanwhile. */
  readonly runVerb: (words: readonly string[]) => Promise<void>;
  /** Writes to the terminal beside the frames. */
  readonly write: (text: string) => void;
}

/** Carries out what keys want. Nothing that changes the appliance is sent before its dialog was agreed to. */
export class Hand {
  readonly #deps: HandDeps;
  readonly #stop = new AbortController();

  constructor(deps: HandDeps) {
    this.#deps = deps;
  }

  /** Lets go of what is waited for. Operations go on in the agent. */
  close() {
    this.#stop.abort();
  }

  want(intent: Intent, changes = false) {
    const { store } = this.#deps;
    const state = store.get();
    if (changes && state.link.kind === 'up' && state.link.access === 'viewer') {
      this.say('inconclusive', 'Read-only: you came through the socket for viewers.', {
        hint: 'ask to be added to the group of the operators',
      });
      return;
    }
    switch (intent.kind) {
      case 'say':
        return this.say('inconclusive', intent.text);
      case 'show':
        return store.set({ view: show(state.view, intent.screen) });
      case 'logs':
        return store.set({ view: showLogs(state.view, intent.service) });
      case 'ask': {
        const typing = { purpose: 'ask', label: intent.label, text: intent.text, next: intent.next } as const;
        return store.set({ view: { ...state.view, typing } });
      }
      case 'shell':
        this.#deps.runVerb(intent.words).catch((error: unknown) => this.#fail(error));
        return;
      case 'save':
        saveLines(intent.path, state).then(
          (text) => this.say('pass', text),
          (error: unknown) => this.#fail(error),
        );
        return;
      case 'copy':
        return this.say('pass', copyLines(state, this.#deps.write));
      case 'look':
        return this.#look(intent);
      case 'order':
        return this.#propose(intent.order);
    }
  }

  /** Sends the order of the open dialog. */
  agree({ order }: Dialog) {
    this.#close();
    if (order.instead) return this.want(order.instead);
    const client = this.#deps.client();
    if (!client) return this.#fail(notThere(), order.command);
    this.say('running', 'sent', { command: order.command });
    this.#send(order, client)
      .catch((error: unknown) => this.#fail(error, order.command))
      .finally(() => this.#deps.refresh());
  }

  say(kind: Notice['kind'], text: string, more: Pick<Notice, 'command' | 'hint'> = {}) {
    this.#deps.store.set({ notice: { kind, text: oneLine(text), ...more, at: this.#deps.clock.now() } });
  }

  async #send(order: Order, client: Client): Promise<void> {
    const answer = order.send(client, this.#stop.signal);
    if (!(answer instanceof Promise)) return this.#follow(order, answer);
    const { store } = this.#deps;
    store.set({ waiting: [...store.get().waiting, order.command] });
    try {
      const { verdict, text } = await answer;
      this.say(verdict, text, { command: order.command });
    } finally {
      const { waiting } = store.get();
      const index = waiting.indexOf(order.command);
      store.set({ waiting: waiting.filter((_, at) => at !== index) });
    }
  }

  /** Follows an operation to its end. There is nothing to lose: it goes on in the agent. */
  async #follow({ command }: Order, events: AsyncIterable<ApplianceEvent>): Promise<void> {
    for await (const event of events) {
      if (event.event !== 'operation-ended') continue;
      const { result } = event;
      const good = result.result === 'done';
      this.say(good ? 'pass' : 'fail', good ? successLine(result) : failureLine(result), {
        command,
        hint: result.error?.hint,
      });
      return;
    }
    if (!this.#stop.signal.aborted) throw notThere();
  }

  #propose(order: Order) {
    const dialog: Dialog = {
      kind: 'dialog',
      order,
      plan: order.plan ? 'asking' : undefined,
      typed: '',
      go: order.severity === 'mild',
      top: 0,
    };
    this.#open(dialog);
    if (!order.plan) return;
    const answer = (plan: Dialog['plan']) => {
      const { overlay } = this.#deps.store.get().view;
      if (overlay?.kind === 'dialog' && overlay.order === order) this.#open({ ...overlay, plan, top: 0 });
    };
    this.#ask((client) => order.plan?.(client, this.#stop.signal) ?? Promise.reject(notThere())).then(
      answer,
      (thrown) => {
        const { message, hint } = asApplianceError(thrown);
        answer({ message: oneLine(message), hint });
      },
    );
  }

  #look({ title, command, load }: Extract<Intent, { kind: 'look' }>) {
    const overlay: Overlay = { kind: 'look', title, command, lines: undefined, top: 0 };
    this.#open(overlay);
    const isOpen = () => {
      const open = this.#deps.store.get().view.overlay;
      return open?.kind === 'look' && open.title === title;
    };
    this.#ask((client) => load(client, this.#stop.signal)).then(
      (lines) => {
        if (isOpen()) this.#open({ ...overlay, lines });
      },
      (error: unknown) => {
        if (isOpen()) this.#close();
        this.#fail(error, command);
      },
    );
  }

  async #ask<Answer>(question: (client: Client) => Promise<Answer>): Promise<Answer> {
    const client = this.#deps.client();
    if (!client) throw notThere();
    return question(client);
  }

  #open(overlay: Overlay) {
    const { store } = this.#deps;
    store.set({ view: { ...store.get().view, overlay } });
  }

  #close() {
    const { store } = this.#deps;
    store.set({ view: { ...store.get().view, overlay: undefined } });
  }

  #fail(thrown: unknown, command?: string) {
    if (this.#stop.signal.aborted) return;
    const { message, left, hint } = asApplianceError(thrown);
    this.say('fail', left ? `${message}; ${left}` : message, { command, hint });
  }
}

function notThere(): ApplianceError {
  return new ApplianceError('agent_unreachable', 'the agent does not answer', {
    left: 'what it had begun is finished or taken back when it starts again',
    hint: 'appliance status shows how things are',
  });
}
