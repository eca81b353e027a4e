import { at, call, describe, say, start } from './platform.js';

const MEASURES = [
  ['Accuracy', (m) => m.accuracy, 3],
  ['Area under the curve', (m) => m.roc_auc, 3],
  ['Bias', (m) => m.bias, 3],
  ['Latency p99, ms', (m) => m.latency_ms?.p99, 2],
  ['Predictions per second', (m) => m.throughput_per_second, 0],
  ['Memory, kB', (m) => m.memory_bytes / 1000, 0],
];

const STATES = {
  idle: 'No run yet.',
  running: 'Training runs …',
  succeeded: 'The last run succeeded.',
  failed: 'The last run failed',
  interrupted: 'The last run was interrupted: its process ended before it did.',
};

const figure = (value, digits) => (Number.isFinite(value) ? value.toFixed(digits) : '–');

let timer;

function busy(yes) {
  for (const id of ['run', 'dry-run']) at(id).disabled = yes;
}

function showMetrics(last, active) {
  at('metrics').replaceChildren(
    ...MEASURES.map(([name, read, digits]) => {
      const row = document.createElement('tr');
      for (const text of [name, figure(last && read(last), digits), figure(active && read(active), digits)]) {
        const cell = document.createElement('td');
        cell.textContent = text;
        row.append(cell);
      }
      return row;
    }),
  );
}

async function refresh() {
  clearTimeout(timer);
  try {
    const [{ body: status }, { body: active }, { body: quality }] = await Promise.all([
      call('/api/trainer/status'),
      call('/api/models/active'),
      call('/api/data-quality/metrics'),
    ]);
    const { run } = status;
    const reason = status.state === 'failed' ? `: ${run.detail}` : '';
    say(
      'run-message',
      `${STATES[status.state] ?? status.state}${reason}`,
      status.state === 'succeeded' ? 'good' : reason && 'bad',
    );
    describe('run-facts', [
      ['Model in use', active.version],
      ['Versions trained', String(status.versions.length)],
      ...(run
        ? [
            ['Asked for by', run.requested_by],
            ['Started', run.started_at ?? '–'],
            ['Ended', run.finished_at ?? '–'],
          ]
        : []),
      ...(run?.version ? [['New version', run.version]] : []),
    ]);
    showMetrics(run?.metrics, active.metrics);
    describe('data', [
      ['Items', String(quality.items.items)],
      ['Quality score', figure(quality.score, 3)],
      ['Without route', String(quality.items.without_route)],
      ['Duplicates', String(quality.items.duplicates)],
      ['Predictions, 24 h', String(quality.predictions_24h.predictions)],
      ['Schema', String(quality.schema)],
    ]);
    busy(status.state === 'running');
    if (status.state === 'running') timer = setTimeout(refresh, 1000);
  } catch (error) {
    say('run-message', error.message, 'bad');
    busy(false);
  }
}

async function run(dryRun) {
  busy(true);
  say('run-message', dryRun ? 'Checking …' : 'Starting …');
  try {
    const { body } = await call('/api/trainer/run', { method: 'POST', body: { dry_run: dryRun } });
    if (dryRun) {
      busy(false);
      say('run-message', `A run could start: ${body.checks.usable_items} usable items, directory writable.`, 'good');
    } else {
      timer = setTimeout(refresh, 500);
    }
  } catch (error) {
    busy(false);
    say('run-message', error.message, 'bad');
  }
}

at('run').addEventListener('click', () => run(false));
at('dry-run').addEventListener('click', () => run(true));
start(refresh);
