import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import xterm from '@xterm/headless';

/** Milliseconds after which a screen that does not come is a failure. */
const usualPatience = 60_000;

/** Around what is to be shown as one (mode 2026). */
const frameBegin = '\u001b[?2026h';
const frameEnd = '\u001b[?2026l';

/**
 * A terminal with a program in it: a real pseudo-terminal (from script(1)), the screen of which is kept by a terminal
 * emulator. What a test sees is what a person would see.
 */
export class TestTerminal {
  /** Everything the program has written, byte by byte. */
  raw = '';
  /** Whether the screen is not in the middle of a frame (a synchronized update). */
  #whole = true;
  /** The end of what was read, in case a sequence is torn in two. */
  #tail = '';
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #screen: xterm.Terminal;
  readonly #ttyFile: string;
  readonly #ended: Promise<number>;
  readonly #watchers = new Set<() => void>();

  /**
   * @param command line for sh(1)
   * @param folder where the name of the terminal is kept
   */
  constructor(
    command: string,
    folder: string,
    size: { readonly columns: number; readonly rows: number },
    env: NodeJS.ProcessEnv,
  ) {
    this.#ttyFile = join(folder, `tty-${Math.random().toString(36).slice(2)}`);
    this.#screen = new xterm.Terminal({ cols: size.columns, rows: size.rows, allowProposedApi: true });
    const line = `stty rows ${size.rows} cols ${size.columns}; tty > ${this.#ttyFile}; exec ${command}`;
    this.#child = spawn('script', ['--quiet', '--flush', '--return', '--command', line, '/dev/null'], { env });
    this.#screen.onData((answer) => this.#child.stdin.write(answer));
    this.#child.stdout.on('data', (data: Buffer) => {
      const text = data.toString('latin1');
      this.raw += text;
      const seen = this.#tail + text;
      this.#tail = seen.slice(1 - frameEnd.length);
      const [begin, end] = [seen.lastIndexOf(frameBegin), seen.lastIndexOf(frameEnd)];
      this.#screen.write(data, () => {
        if (begin !== end) this.#whole = end > begin;
        if (this.#whole) for (const watcher of this.#watchers) watcher();
      });
    });
    this.#child.stdin.on('error', () => undefined);
    // Not before all that it has said is read and stands on the screen.
    this.#ended = new Promise((resolve) =>
      this.#child.once('close', (code) => this.#screen.write('', () => resolve(code ?? -1))),
    );
  }

  /** What is on the screen, without blanks at the ends of lines. */
  get text(): string {
    return this.lines.join('\n');
  }

  get lines(): string[] {
    const { active } = this.#screen.buffer;
    return Array.from({ length: this.#screen.rows }, (_, row) =>
      (active.getLine(active.viewportY + row)?.translateToString(true) ?? '').trimEnd(),
    );
  }

  /** The column in which a text begins, counted in cells as the terminal has them; -1 when the line has none. */
  columnOf(row: number, text: string): number {
    const { active } = this.#screen.buffer;
    const line = active.getLine(active.viewportY + row);
    for (let column = 0; line && column < this.#screen.cols; column += 1) {
      if (line.getCell(column)?.getWidth() !== 0 && line.translateToString(true, column).startsWith(text))
        return column;
    }
    return -1;
  }

  /** The colours of all text on the screen: numbers of the palette, or `default`. */
  get colors(): ReadonlySet<number | 'default'> {
    const { active } = this.#screen.buffer;
    const found = new Set<number | 'default'>();
    for (let row = 0; row < this.#screen.rows; row += 1) {
      const line = active.getLine(active.viewportY + row);
      for (let column = 0; line && column < this.#screen.cols; column += 1) {
        const cell = line.getCell(column);
        if (cell && cell.getChars().trim() !== '') found.add(cell.isFgPalette() ? cell.getFgColor() : 'default');
      }
    }
    return found;
  }

  /** What stands inverse on a line. */
  inverseOf(row: number): string {
    const { active } = this.#screen.buffer;
    const line = active.getLine(active.viewportY + row);
    const cells = Array.from({ length: this.#screen.cols }, (_, column) => line?.getCell(column));
    return cells.map((cell) => (cell?.isInverse() ? cell.getChars() || ' ' : '')).join('');
  }

  /** Whether the alternate screen is shown. */
  get alternate(): boolean {
    return this.#screen.buffer.active.type === 'alternate';
  }

  get cursorShown(): boolean {
    return this.raw.lastIndexOf('\u001b[?25h') >= this.raw.lastIndexOf('\u001b[?25l');
  }

  /** Waits until the screen says something. @throws Error with the screen as it is when it never does */
  async shows(wanted: RegExp | ((terminal: TestTerminal) => boolean), patience = usualPatience): Promise<void> {
    const good = () => this.#whole && (wanted instanceof RegExp ? wanted.test(this.text) : wanted(this));
    if (good()) return;
    await new Promise<void>((resolve, reject) => {
      const watcher = () => {
        if (good()) finish(resolve);
      };
      const timer = setTimeout(
        () => finish(() => reject(new Error(`never showed ${wanted}; instead:\n${this.text}`))),
        patience,
      );
      const finish = (end: () => void) => {
        clearTimeout(timer);
        this.#watchers.delete(watcher);
        end();
      };
      this.#watchers.add(watcher);
    });
  }

  type(keys: string): void {
    this.#child.stdin.write(keys);
  }

  /** Types something in two pieces, as a slow line hands it over. Nothing of this process comes in between. */
  typeTorn(piece: string, rest: string): void {
    this.type(piece);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3);
    this.type(rest);
  }

  /** Changes the size as a window does; the program gets SIGWINCH. */
  resize(columns: number, rows: number): void {
    this.#screen.resize(columns, rows);
    execFileSync('stty', ['-F', this.tty, 'rows', String(rows), 'cols', String(columns)]);
  }

  /** Writes onto the screen as another program does, which knows nothing of this one. */
  scribble(text: string): void {
    writeFileSync(this.tty, text);
  }

  get tty(): string {
    if (!existsSync(this.#ttyFile)) throw new Error('the program has not begun');
    return readFileSync(this.#ttyFile, 'utf8').trim();
  }

  /** Process ids of a program on this terminal. */
  processes(program: string): number[] {
    const list = execFileSync('ps', ['-o', 'pid=,args=', '-t', this.tty.replace('/dev/', '')], { encoding: 'utf8' });
    return list
      .split('\n')
      .filter((line) => line.includes(program) && !line.includes('script --quiet'))
      .map((line) => Number.parseInt(line, 10));
  }

  /** Takes the terminal away, as a lost connection does. */
  hangUp(): void {
    this.#child.kill('SIGKILL');
  }

  /** Exit status of the program, once its last words are on the screen. */
  ended(): Promise<number> {
    return this.#ended;
  }
}
