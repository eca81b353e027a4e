import type { Board } from '../board.ts';

export const training: Board = {
  uid: 'routing-ml-training',
  title: 'Model Training Metrics',
  about: 'How training went, how long it took and what came out of it (S1-37)',
  tags: ['routing-ml'],
  panels: [
    {
      title: 'Failed runs, 1 h',
      about: 'A failed training run is an alert (S1-40)',
      kind: 'stat',
      unit: 'none',
      thresholds: [{ from: 1, colour: 'red' }],
      queries: [{ expr: 'sum(increase(routing_ml_training_runs_total{result="failed"}[1h]))', legend: 'failed' }],
    },
    {
      title: 'Runs, 1 h',
      about: 'Training runs that succeeded within the hour',
      kind: 'stat',
      unit: 'none',
      queries: [{ expr: 'sum(increase(routing_ml_training_runs_total{result="succeeded"}[1h]))', legend: 'succeeded' }],
    },
    {
      title: 'Last success',
      about: 'Time since training last succeeded; no data before the first run of a backend',
      kind: 'stat',
      unit: 's',
      queries: [
        { expr: 'time() - max(routing_ml_training_last_success_timestamp_seconds > 0)', legend: 'since last success' },
      ],
    },
    {
      title: 'Accuracy',
      about: 'Accuracy of the loaded model; at least 0.80 (S0-52)',
      kind: 'stat',
      unit: 'percentunit',
      below: 'red',
      thresholds: [{ from: 0.8, colour: 'green' }],
      queries: [{ expr: 'min(routing_ml_model_accuracy)', legend: 'accuracy' }],
    },
    {
      title: 'Runs',
      about: 'Training runs per hour by how they ended',
      kind: 'timeseries',
      unit: 'short',
      min: 0,
      queries: [{ expr: 'sum by (result) (increase(routing_ml_training_runs_total[1h]))', legend: '{{result}}' }],
    },
    {
      title: 'Mean time of a run',
      about: 'Mean over all runs since the backends started',
      kind: 'timeseries',
      unit: 's',
      min: 0,
      queries: [
        {
          expr: 'sum(routing_ml_training_duration_seconds_sum) / sum(routing_ml_training_duration_seconds_count > 0)',
          legend: 'mean',
        },
      ],
    },
    {
      title: 'Quality',
      about: 'Accuracy and area under the curve of the loaded model',
      kind: 'timeseries',
      unit: 'percentunit',
      max: 1,
      queries: [
        { expr: 'min(routing_ml_model_accuracy)', legend: 'accuracy' },
        { expr: 'min(routing_ml_model_roc_auc)', legend: 'area under the curve' },
      ],
    },
    {
      title: 'Loads',
      about: 'Attempts to load a model per hour, by result',
      kind: 'timeseries',
      unit: 'short',
      min: 0,
      queries: [{ expr: 'sum by (result) (increase(routing_ml_model_loads_total[1h]))', legend: '{{result}}' }],
    },
  ],
};
