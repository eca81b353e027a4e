/**
 * Runs work that tells of things meanwhile.
 * @param work given `tell`, which never waits
 * @returns yields what it tells, in order and to the last; then what comes of the work
 * @throws what the work throws, once all that it told was yielded
 */
export async function* telling<Event, Result>(
  work: (tell: (event: Event) => void) => Promise<Result>,
): AsyncGenerator<Event, Result> {
  const waiting: Event[] = [];
  let wake = (): void => undefined;
  let done = false;
  const running = work((event) => {
    waiting.push(event);
    wake();
  });
  const end = (): void => {
    done = true;
    wake();
  };
  running.then(end, end);
  while (!done || waiting.length > 0) {
    const [event] = waiting.splice(0, 1);
    if (event !== undefined) yield event;
    else
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
  }
  return running;
}
