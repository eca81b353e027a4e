// Expressions that more than one dashboard shows. Rates look back two minutes: twelve scrapes.

/** Requests as users see them, counted by the edge for each release. */
export const requests = 'appliance_http_requests_total';
const seconds = 'appliance_http_request_duration_seconds';

/** Share of answers 5xx, 0 while there are none. @param by label that tells lines apart; none: all together */
export function errorRatio(by?: string): string {
  const sum = by === undefined ? 'sum' : `sum by (${by})`;
  const all = `${sum} (rate(${requests}[2m]))`;
  return `(${sum} (rate(${requests}{code=~"5.."}[2m])) or 0 * ${all}) / ${all}`;
}

/** @param quantile 0 to 1 @param by further labels that tell lines apart */
export function latency(quantile: number, ...by: string[]): string {
  return `histogram_quantile(${quantile}, sum by (${['le', ...by].join(', ')}) (rate(${seconds}_bucket[2m])))`;
}

/** Alerts that fire, without the one that always does. */
export const firing = 'count(ALERTS{alertstate="firing",alertname!="Watchdog"}) or vector(0)';

/** Share of look-ups that the prediction cache answered. */
export const cacheHits =
  'sum(rate(routing_ml_cache_requests_total{result="hit"}[5m])) / sum(rate(routing_ml_cache_requests_total[5m]))';
