import type { Board } from '../board.ts';

const confidence = (quantile: number) =>
  `histogram_quantile(${quantile}, sum by (le) (rate(routing_ml_prediction_confidence_bucket[10m])))`;

export const model: Board = {
  uid: 'model-metrics',
  title: 'Model Metrics',
  about: 'Which model answers, how sure it is of its answers, and how far its input has drifted (S2-26)',
  tags: ['routing-ml'],
  panels: [
    {
      title: 'Loaded model',
      about: 'Version of the model that the backends have loaded; two of them while a new one is taken over',
      kind: 'stat',
      unit: 'string',
      nameOnly: true,
      queries: [{ expr: 'max by (version) (routing_ml_model_info)', legend: '{{version}}' }],
    },
    {
      title: 'Loaded',
      about: 'Whether every backend has a verified model',
      kind: 'stat',
      unit: 'bool_yes_no',
      below: 'red',
      thresholds: [{ from: 1, colour: 'green' }],
      queries: [{ expr: 'min(routing_ml_model_loaded)', legend: 'loaded' }],
    },
    {
      title: 'Spread of predictions',
      about:
        'Standard deviation of the confidence; below 0.05 for 10 min the model says the same to everything (S2-23)',
      kind: 'stat',
      unit: 'short',
      below: 'red',
      thresholds: [{ from: 0.05, colour: 'green' }],
      queries: [{ expr: 'min(routing_ml_prediction_confidence_stddev)', legend: 'deviation' }],
    },
    {
      title: 'Accuracy',
      about: 'As measured when the model was trained; at least 0.80 (S0-52)',
      kind: 'stat',
      unit: 'percentunit',
      below: 'red',
      thresholds: [{ from: 0.8, colour: 'green' }],
      queries: [{ expr: 'min(routing_ml_model_accuracy)', legend: 'accuracy' }],
    },
    {
      title: 'Confidence',
      about: 'How sure the model is: one in ten predictions is below the lowest line, one in ten above the highest',
      kind: 'timeseries',
      unit: 'percentunit',
      min: 0,
      max: 1,
      queries: [0.1, 0.5, 0.9].map((quantile) => ({ expr: confidence(quantile), legend: `p${quantile * 100}` })),
    },
    {
      title: 'Spread of predictions',
      about: 'Standard deviation of the confidence of the last 1,000 predictions of each release (S2-23)',
      kind: 'timeseries',
      unit: 'short',
      min: 0,
      queries: [{ expr: 'min by (release) (routing_ml_prediction_confidence_stddev)', legend: '{{release}}' }],
    },
    {
      title: 'Drift',
      about: 'Mean of each feature in the last 1,000 predictions, in standard deviations of the training data',
      kind: 'timeseries',
      unit: 'short',
      queries: [{ expr: 'avg by (feature) (routing_ml_feature_drift)', legend: '{{feature}}' }],
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
