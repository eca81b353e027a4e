import { seconds } from '../../api/describe.ts';
import type { ApplianceEvent } from '../../api/schema.ts';
import { displayWidth, oneLine, pad, truncate } from '../../lib/text.ts';
import type { Sink } from '../session.ts';
import { type Look, type Mark, mark, paint, speak } from './look.ts';

const spinner = { unicode: [...'⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'], ascii: [...'|/-\\'] } as const;
/** Milliseconds between two pictures of the spinner. */
const tick = 100;
/** Milliseconds of silence after which a log without a terminal gets a sign of life. */
const silence = 30_000;
const titleWidth = 46;

interface Options {
  readonly quiet: boolean;
  readonly verbose: boolean;
}

/**
 * Shows an operation while it runs: one line per step with its time. On a terminal the last line is alive; elsewhere
 * only finished lines are written, and one every half minute when nothing finishes.
 */
export class Progress {
  readonly #sink: Sink;
  readonly #look: Look;
  readonly #options: Options;
  #title = '';
  #detail = '';
  #started = 0;
  #spoken = 0;
  #picture = 0;
  #drawn = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(sink: Sink, look: Look, options: Options) {
    this.#sink = sink;
    this.#look = look;
    this.#options = options;
  }

  /** Says at once what is going to happen. */
  begin(title: string): void {
    if (this.#options.quiet) return;
    if (!this.#look.terminal) this.#line(title);
    this.#run(title);
    this.#timer = setInterval(() => this.#alive(), this.#look.terminal ? tick : 1_000);
    this.#timer.unref();
  }

  /** Takes in what the agent tells. */
  take(event: ApplianceEvent): void {
    if (this.#options.quiet) return;
    if (event.event === 'progress') {
      this.#detail = oneLine(event.text);
      if (this.#options.verbose) this.#line(`    ${paint(this.#look, 'dim', this.#detail)}`);
    }
    if (event.event !== 'step') return;
    switch (event.state) {
      case 'running':
      case 'verifying':
        if (this.#title !== event.title) this.#run(event.title);
        break;
      case 'undoing':
        this.#run(`taking back: ${event.title}`);
        break;
      case 'done':
        this.#step('pass', event.title, event.seconds, event.detail);
        break;
      case 'failed':
        // The rest of a long reason comes at the end, with what to do about it.
        this.#step('fail', event.title, event.seconds, event.detail.split('\n')[0] ?? '');
        break;
      case 'undone':
        this.#step('skipped', `taken back: ${event.title}`, event.seconds, '');
        break;
    }
  }

  /** Writes a line without disturbing the live one. */
  say(text: string): void {
    if (!this.#options.quiet) this.#line(speak(this.#look, text));
  }

  /** Takes the live line away. */
  end(): void {
    clearInterval(this.#timer);
    this.#erase();
  }

  #run(title: string): void {
    this.#title = title;
    this.#detail = '';
    this.#started = performance.now();
    this.#draw();
  }

  #step(name: Mark, title: string, took: number, detail: string): void {
    const { width, unicode } = this.#look;
    // A line that is too long would be broken in the middle of a word, and two lines long.
    const shown = pad(truncate(title, width - 15, unicode ? '…' : '~'), titleWidth);
    const start = `${mark(this.#look, name)} ${speak(this.#look, shown)} ${pad(seconds(took), 11, 'right')}`;
    const room = width - displayWidth(shown) - 17;
    const text = room < 12 ? '' : truncate(speak(this.#look, oneLine(detail)), room);
    this.#title = '';
    this.#line(text === '' ? start : `${start}  ${paint(this.#look, 'dim', text)}`);
  }

  #alive(): void {
    if (this.#look.terminal) this.#draw();
    else if (this.#title !== '' && performance.now() - this.#spoken > silence) {
      const detail = this.#detail === '' ? '' : `: ${this.#detail}`;
      this.#line(`${this.#look.unicode ? '…' : '...'} ${this.#title}, ${this.#elapsed()} so far${detail}`);
    }
  }

  #draw(): void {
    if (!this.#look.terminal || this.#title === '') return;
    const pictures = this.#look.unicode ? spinner.unicode : spinner.ascii;
    this.#picture = (this.#picture + 1) % pictures.length;
    const title = speak(this.#look, pad(truncate(this.#title, this.#look.width - 16), titleWidth));
    const text = `${title} ${pad(this.#elapsed(), 11, 'right')}  ${speak(this.#look, this.#detail)}`;
    const cut = truncate(text.trimEnd(), this.#look.width - 3, this.#look.unicode ? '…' : '~');
    this.#erase();
    this.#sink.write(`${paint(this.#look, 'cyan', pictures[this.#picture] ?? '')} ${cut}`);
    this.#drawn = true;
  }

  #elapsed(): string {
    return seconds((performance.now() - this.#started) / 1_000);
  }

  #line(text: string): void {
    this.#erase();
    this.#sink.write(`${text}\n`);
    this.#spoken = performance.now();
    this.#draw();
  }

  #erase(): void {
    if (this.#drawn) this.#sink.write('\r\u001b[K');
    this.#drawn = false;
  }
}
