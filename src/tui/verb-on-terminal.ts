import { word } from './orders/word.ts';

export interface VerbDeps {
  readonly runVerb: (words: readonly string[]) => Promise<number>;
  readonly write: (text: string) => void;
  readonly setMouse: (on: boolean) => void;
}

/** Runs a verb on the terminal as a shell would, shows its command and its exit status, and waits for a key. */
export async function verbOnTerminal(words: readonly string[], { runVerb, write, setMouse }: VerbDeps): Promise<void> {
  setMouse(false);
  write(`$ appliance ${words.map(word).join(' ')}\n`);
  const status = await runVerb(words);
  write(`\n[exit status ${status}] Enter goes back to the screens `);
  await keyPressed();
  setMouse(true);
}

/** A line from the terminal, or its end. */
async function keyPressed(): Promise<void> {
  const { stdin } = process;
  await new Promise<void>((resolve) => {
    const done = () => {
      stdin.off('data', done).off('end', done).off('error', done);
      stdin.pause();
      resolve();
    };
    stdin.on('data', done).on('end', done).on('error', done);
    stdin.resume();
  });
}
