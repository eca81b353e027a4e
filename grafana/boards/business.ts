import type { Board } from '../board.ts';
import { cacheHits, errorRatio } from '../expressions.ts';

const predictions = 'routing_ml_predictions_total';

export const business: Board = {
  uid: 'business-metrics',
  title: 'Business Metrics',
  about: 'What the platform is for: predictions that were given, and those that were lost (S2-26)',
  tags: ['routing-ml'],
  panels: [
    {
      title: 'Predictions, 24 h',
      about: 'Predictions answered within a day',
      kind: 'stat',
      unit: 'short',
      queries: [{ expr: `sum(increase(${predictions}[24h]))`, legend: 'predictions' }],
    },
    {
      title: 'Predictions now',
      about: 'Predictions answered per second',
      kind: 'stat',
      unit: 'ops',
      queries: [{ expr: `sum(rate(${predictions}[2m]))`, legend: 'predictions' }],
    },
    {
      title: 'Not recorded, 24 h',
      about: 'Predictions that were answered but could not be written to the database',
      kind: 'stat',
      unit: 'none',
      thresholds: [{ from: 1, colour: 'orange' }],
      queries: [{ expr: 'sum(increase(routing_ml_prediction_record_failures_total[24h]))', legend: 'not recorded' }],
    },
    {
      title: 'Answered well',
      about: 'Share of requests that did not end with 5xx',
      kind: 'stat',
      unit: 'percentunit',
      below: 'red',
      max: 1,
      thresholds: [
        { from: 0.95, colour: 'orange' },
        { from: 0.99, colour: 'green' },
      ],
      queries: [{ expr: `1 - (${errorRatio()})`, legend: 'answered well' }],
    },
    {
      title: 'Cache',
      about: 'Share of look-ups that the cache answered; above 30 % (S0-51), 70 % is the aim',
      kind: 'stat',
      unit: 'percentunit',
      below: 'red',
      thresholds: [
        { from: 0.3, colour: 'orange' },
        { from: 0.7, colour: 'green' },
      ],
      queries: [{ expr: cacheHits, legend: 'hits' }],
    },
    {
      title: 'Predictions by route',
      about: 'Predictions per second by the route that was recommended',
      kind: 'timeseries',
      unit: 'ops',
      min: 0,
      queries: [{ expr: `sum by (route) (rate(${predictions}[2m]))`, legend: '{{route}}' }],
    },
    {
      title: 'Cache',
      about: 'Share of look-ups that the cache answered (S0-51)',
      kind: 'timeseries',
      unit: 'percentunit',
      min: 0,
      max: 1,
      queries: [{ expr: cacheHits, legend: 'hits' }],
    },
  ],
};
