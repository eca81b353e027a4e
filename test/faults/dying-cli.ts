// Loaded before the command line (`node --import`): ends the process with SIGKILL where APPLIANCE_TEST_DIES_AT says so, which
// is `STEP STATE [MILLISECONDS]`: once it has told with --json that a step has come to a state, or so much later, at the
// latest with its next word. Whoever reads along could be too late.
const [step, state, later = '0'] = (process.env.APPLIANCE_TEST_DIES_AT ?? '').split(' ');
const die = (): void => void process.kill(process.pid, 'SIGKILL');
const write = process.stdout.write.bind(process.stdout);
let struck = false;

process.stdout.write = ((...words: Parameters<typeof write>) => {
  // To a pipe this is written when it returns.
  const written = write(...words);
  if (struck) die();
  if (!struck && String(words[0]).split('\n').some(isIt)) {
    struck = true;
    if (later === '0') die();
    else setTimeout(die, Number(later));
  }
  return written;
}) as typeof process.stdout.write;

function isIt(line: string): boolean {
  return line.includes('"event":"step"') && line.includes(`"name":"${step}"`) && line.includes(`"state":"${state}"`);
}
