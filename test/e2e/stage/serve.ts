import { openStage } from './stage.ts';

// Plays the stage in a process of its own, until SIGTERM: `node serve.ts ROOT STEP_MS [MOOD] [LOG_PAUSE_MS] [BURST]`.
// MOOD is well, unwell, recorded (with everything in it), crowded (500 containers) or wide (names of wide characters).
/** Names in characters that are two columns wide. */
const wide = ['後端-一', 'フロントエンド予測サービス', '예측'];

const [root = '', stepTime = '100', mood, logPause = '200', burst = '1'] = process.argv.slice(2);
const close = await openStage({
  root,
  stepTime: Number(stepTime),
  logPause: Number(logPause),
  burst: Number(burst),
  unwell: mood === 'unwell',
  recorded: mood === 'recorded',
  more:
    mood === 'crowded' ? Array.from({ length: 493 }, (_, index) => `worker-${index + 1}`) : mood === 'wide' ? wide : [],
});
process.once('SIGTERM', () => {
  void close().then(() => process.exit(0));
});
process.stdout.write('ready\n');
