import { openStage } from './stage.ts';

// Plays the stage in a process of its own, until SIGTERM: `node serve.ts ROOT STEP_MS [MOOD] [LOG_PAUSE_MS] [BURST]`.
// MOOD is well, unwell, recorded (with everything in it) or crowded (500 containers).
const [root = '', stepTime = '100', mood, logPause = '200', burst = '1'] = process.argv.slice(2);
const close = await openStage({
  root,
  stepTime: Number(stepTime),
  logPause: Number(logPause),
  burst: Number(burst),
  unwell: mood === 'unwell',
  recorded: mood === 'recorded',
  more: mood === 'crowded' ? 493 : 0,
});
process.once('SIGTERM', () => {
  void close().then(() => process.exit(0));
});
process.stdout.write('ready\n');
