import type { Board } from '../board.ts';
import { firing } from '../expressions.ts';

const operations = 'appliance_operation_duration_seconds';

/** No number, while there is nothing to tell of. */
const unknown = 'vector(0) / 0';

export const appliance: Board = {
  uid: 'appliance',
  title: 'Appliance',
  about: 'The host, the containers, what was done to them, and whether monitoring itself works',
  tags: [],
  panels: [
    {
      title: 'Agent last wrote',
      about: 'Time since the agent last wrote its metrics; above a minute it is an alert',
      kind: 'stat',
      unit: 's',
      thresholds: [
        { from: 30, colour: 'orange' },
        { from: 60, colour: 'red' },
      ],
      queries: [
        { expr: 'time() - max(node_textfile_mtime_seconds{file="/textfile/appliance.prom"})', legend: 'since' },
      ],
    },
    {
      title: 'Free space',
      about: 'Least free share of a file system',
      kind: 'stat',
      unit: 'percentunit',
      below: 'red',
      thresholds: [
        { from: 0.1, colour: 'orange' },
        { from: 0.2, colour: 'green' },
      ],
      queries: [{ expr: 'min(node_filesystem_avail_bytes / node_filesystem_size_bytes)', legend: 'free' }],
    },
    {
      title: 'CPU',
      about: 'Share of all processors in use; 80 % for 10 min is an alert (S2-24)',
      kind: 'stat',
      unit: 'percentunit',
      thresholds: [{ from: 0.8, colour: 'red' }],
      queries: [{ expr: '1 - avg(rate(node_cpu_seconds_total{mode="idle"}[2m]))', legend: 'used' }],
    },
    {
      title: 'Memory',
      about: 'Share of memory in use; 90 % for 5 min is an alert (S2-25)',
      kind: 'stat',
      unit: 'percentunit',
      thresholds: [{ from: 0.9, colour: 'red' }],
      queries: [{ expr: '1 - max(node_memory_MemAvailable_bytes) / max(node_memory_MemTotal_bytes)', legend: 'used' }],
    },
    {
      title: 'Targets down',
      about: 'Sources that Prometheus cannot read',
      kind: 'stat',
      unit: 'none',
      thresholds: [{ from: 1, colour: 'red' }],
      queries: [{ expr: 'count(up == 0) or vector(0)', legend: 'down' }],
    },
    {
      title: 'Alerts firing',
      about: 'appliance alerts lists them',
      kind: 'stat',
      unit: 'none',
      thresholds: [{ from: 1, colour: 'red' }],
      queries: [{ expr: firing, legend: 'alerts' }],
    },
    {
      title: 'Newest backup',
      about: 'Age of the newest backup; above backups.drill.rpo it is an alert (S1-46)',
      kind: 'stat',
      unit: 's',
      thresholds: [{ from: 93_600, colour: 'red' }],
      queries: [{ expr: `time() - max(appliance_backup_last_success_timestamp_seconds) or ${unknown}`, legend: 'old' }],
    },
    {
      title: 'Last proven restore',
      about: 'Time since a backup was last restored and found whole; three days are an alert (S4-53)',
      kind: 'stat',
      unit: 's',
      thresholds: [
        { from: 93_600, colour: 'orange' },
        { from: 259_200, colour: 'red' },
      ],
      queries: [
        { expr: `time() - appliance_backup_last_proven_restore_timestamp_seconds or ${unknown}`, legend: 'since' },
      ],
    },
    {
      title: 'A restore takes',
      about: 'Duration of the last proven restore (RTO); above backups.drill.rto it is an alert',
      kind: 'stat',
      unit: 's',
      thresholds: [{ from: 3_600, colour: 'red' }],
      queries: [{ expr: `appliance_backup_restore_duration_seconds or ${unknown}`, legend: 'takes' }],
    },
    {
      title: 'Overdue by the schedule',
      about: 'Since when a run is missing that was due, of the worst job; 0 while none is',
      kind: 'stat',
      unit: 's',
      thresholds: [
        { from: 3_600, colour: 'orange' },
        { from: 21_600, colour: 'red' },
      ],
      queries: [{ expr: 'max(appliance_schedule_overdue_seconds)', legend: 'overdue' }],
    },
    {
      title: 'CPU of containers',
      about: 'Processors in use by each container; 1 is one processor',
      kind: 'timeseries',
      unit: 'short',
      min: 0,
      queries: [
        {
          expr: 'sum by (container, colour) (rate(appliance_container_cpu_seconds_total[2m]))',
          legend: '{{container}} {{colour}}',
        },
      ],
    },
    {
      title: 'Memory of containers',
      about: 'Without page cache that can be given back',
      kind: 'timeseries',
      unit: 'bytes',
      min: 0,
      queries: [
        { expr: 'sum by (container, colour) (appliance_container_memory_bytes)', legend: '{{container}} {{colour}}' },
      ],
    },
    {
      title: 'Free space',
      about: 'Bytes that are free for the state directory and for the engine',
      kind: 'timeseries',
      unit: 'bytes',
      min: 0,
      queries: [{ expr: 'max by (filesystem) (node_filesystem_avail_bytes)', legend: '{{filesystem}}' }],
    },
    {
      title: 'Operations',
      about: 'Operations per hour by kind and result',
      kind: 'timeseries',
      unit: 'short',
      min: 0,
      queries: [{ expr: `sum by (kind, result) (increase(${operations}_count[1h]))`, legend: '{{kind}} {{result}}' }],
    },
    {
      title: 'Size of backups',
      about: 'Bytes of each part in the newest backup; a collapse is an alert',
      kind: 'timeseries',
      unit: 'bytes',
      min: 0,
      queries: [{ expr: `max by (component) (appliance_backup_bytes) or ${unknown}`, legend: '{{component}}' }],
    },
    {
      title: 'Restarts',
      about: 'Containers that the engine started again by itself, per hour',
      kind: 'timeseries',
      unit: 'short',
      min: 0,
      queries: [
        { expr: 'sum by (container) (increase(appliance_container_restarts_total[1h]))', legend: '{{container}}' },
      ],
    },
    {
      title: 'Checks',
      about: 'What the status says: 1 pass, 0 inconclusive, -1 fail',
      kind: 'timeseries',
      unit: 'short',
      min: -1,
      max: 1,
      queries: [{ expr: 'appliance_check_verdict', legend: '{{id}}' }],
    },
    {
      title: 'Notifications',
      about: 'Notifications per hour by channel, and those that were refused',
      kind: 'timeseries',
      unit: 'short',
      min: 0,
      queries: [
        {
          expr: 'sum by (channel, result) (increase(appliance_alert_notifications_total[1h]))',
          legend: '{{channel}} {{result}}',
        },
      ],
    },
    {
      title: 'Series',
      about: 'Series that Prometheus holds',
      kind: 'timeseries',
      unit: 'short',
      min: 0,
      queries: [{ expr: 'prometheus_tsdb_head_series', legend: 'series' }],
    },
  ],
};
