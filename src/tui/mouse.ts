/** What a mouse sends (SGR 1006). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: sequences begin with Escape
const sequences = /\u001b(\[<\d+;\d+;\d+[Mm])/g;

/**
 * Hears what the mouse says. Ink takes such sequences from the terminal and drops them, so they are seen as they are read.
 * @param hear is told each sequence without its Escape
 * @returns stops listening
 */
export function listenToMouse(stdin: NodeJS.ReadStream, hear: (sequence: string) => void): () => void {
  const read = stdin.read;
  stdin.read = (size?: number) => {
    const chunk: unknown = read.call(stdin, size);
    if (chunk !== null) for (const [, sequence = ''] of String(chunk).matchAll(sequences)) hear(sequence);
    return chunk;
  };
  return () => {
    stdin.read = read;
  };
}
