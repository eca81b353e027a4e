import { openStage } from './stage.ts';

// Plays the stage in a process of its own: `node serve.ts ROOT STEP_MS [unwell]`, until SIGTERM.
const [root = '', stepTime = '100', mood] = process.argv.slice(2);
const close = await openStage({ root, stepTime: Number(stepTime), logPause: 200, unwell: mood === 'unwell' });
process.once('SIGTERM', () => {
  void close().then(() => process.exit(0));
});
process.stdout.write('ready\n');
