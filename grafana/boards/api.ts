import type { Board } from '../board.ts';
import { errorRatio, latency, requests } from '../expressions.ts';

const appLatency = (quantile: number) =>
  `histogram_quantile(${quantile}, sum by (le, path) (rate(http_request_duration_seconds_bucket{job="app"}[2m])))`;

export const api: Board = {
  uid: 'api-performance',
  title: 'API Performance',
  about: 'What the API answers, how fast and how often wrong, by path and release (S1-37, S2-26)',
  tags: ['routing-ml'],
  panels: [
    {
      title: 'p99',
      about: '300 ms for 5 min is an alert (S2-19), 500 ms for 2 min a page (S2-20)',
      kind: 'stat',
      unit: 's',
      thresholds: [
        { from: 0.3, colour: 'orange' },
        { from: 0.5, colour: 'red' },
      ],
      queries: [{ expr: latency(0.99), legend: 'p99' }],
    },
    {
      title: 'Errors',
      about: '2 % for 5 min is an alert (S2-21), 5 % for 1 min a page (S2-22)',
      kind: 'stat',
      unit: 'percentunit',
      thresholds: [
        { from: 0.02, colour: 'orange' },
        { from: 0.05, colour: 'red' },
      ],
      queries: [{ expr: errorRatio(), legend: 'errors' }],
    },
    {
      title: 'In flight',
      about: 'Requests that the backends are answering now',
      kind: 'stat',
      unit: 'none',
      queries: [{ expr: 'sum(http_requests_in_progress{job="app"})', legend: 'in flight' }],
    },
    {
      title: 'Connections',
      about: 'Client connections of the edge',
      kind: 'stat',
      unit: 'none',
      queries: [{ expr: 'sum(appliance_edge_connections)', legend: 'connections' }],
    },
    {
      title: 'Latency by release',
      about: '95 of 100 answers of each release come within this time',
      kind: 'timeseries',
      unit: 's',
      min: 0,
      queries: [{ expr: latency(0.95, 'release'), legend: '{{release}}' }],
    },
    {
      title: 'Answers by status',
      about: 'Answers per second at the edge, by HTTP status',
      kind: 'timeseries',
      unit: 'reqps',
      min: 0,
      queries: [{ expr: `sum by (code) (rate(${requests}[2m]))`, legend: '{{code}}' }],
    },
    {
      title: 'Requests by path',
      about: 'Requests per second as the backends count them',
      kind: 'timeseries',
      unit: 'reqps',
      min: 0,
      queries: [{ expr: 'sum by (path) (rate(http_requests_total{job="app"}[2m]))', legend: '{{path}}' }],
    },
    {
      title: 'p95 by path',
      about: 'Time inside the backend, without the edge',
      kind: 'timeseries',
      unit: 's',
      min: 0,
      queries: [{ expr: appLatency(0.95), legend: '{{path}}' }],
    },
    {
      title: 'Refused logins',
      about: 'Logins and tokens refused per second, by reason',
      kind: 'timeseries',
      unit: 'ops',
      min: 0,
      queries: [{ expr: 'sum by (reason) (rate(routing_ml_auth_failures_total[2m]))', legend: '{{reason}}' }],
    },
    {
      title: 'Database errors',
      about: 'Failed statements per second, by reason (S0-46, S1-41)',
      kind: 'timeseries',
      unit: 'ops',
      min: 0,
      queries: [{ expr: 'sum by (reason) (rate(routing_ml_database_errors_total[2m]))', legend: '{{reason}}' }],
    },
  ],
};
