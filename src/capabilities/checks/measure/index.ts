/** Measurements that do not come from the edge: logs, health, and what Prometheus knows of the application. */
export { HealthHistory } from './health-history.ts';
export { logReader } from './log-reader.ts';
export { prometheusReader } from './prometheus-reader.ts';
