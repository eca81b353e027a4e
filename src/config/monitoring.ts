import { z } from 'zod';
import { bytesPattern, durationPattern, parseBytes, parseDuration } from '../lib/units.ts';
import { metricNames } from './metrics.ts';

const duration = z.string().regex(durationPattern, 'write a duration such as 12h or 15d').transform(parseDuration);
const bytes = z.string().regex(bytesPattern, 'write a size such as 512MiB or 2GB').transform(parseBytes);
/** The pages of monitoring have no login: this host alone reaches them. */
const loopback = z
  .string()
  .regex(
    /^(?:127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\]):\d{1,5}$/,
    'write a loopback address and a port, for example 127.0.0.1:9090; there is no login',
  );
const image = z.string().min(1);

/** The section `monitoring:` of appliance.yaml. */
export const monitoringSchema = z
  .strictObject({
    prometheus: z
      .strictObject({
        listen: loopback.default('127.0.0.1:9090').describe('where Prometheus listens, on this host only (S1-13)'),
        memory: bytes.prefault('512MiB').describe('most memory that Prometheus may use'),
        retention: duration.prefault('15d').describe('how long measurements are kept'),
        retentionBytes: bytes.prefault('2GB').describe('space that measurements may take; the oldest go first'),
        image: image.default('appliance/prometheus:1').describe('image of Prometheus'),
      })
      .prefault({}),
    alertmanager: z
      .strictObject({
        listen: loopback.default('127.0.0.1:9093').describe('where Alertmanager listens, on this host only'),
        memory: bytes.prefault('128MiB').describe('most memory that Alertmanager may use'),
        image: image.default('appliance/alertmanager:1').describe('image of Alertmanager'),
      })
      .prefault({}),
    nodeExporter: z
      .strictObject({
        memory: bytes.prefault('64MiB').describe('most memory that the exporter may use'),
        image: image.default('appliance/node-exporter:1').describe("image of the exporter of the host's own figures"),
      })
      .prefault({}),
    scrape: z
      .array(
        z.strictObject({
          service: z.string().min(1).describe('an app service that has metrics in the format of Prometheus'),
          port: z.int().min(1).max(65_535).describe('where it listens inside its container'),
          path: z.string().startsWith('/').default('/metrics').describe('path of its metrics'),
        }),
      )
      .default([])
      .describe('app services whose metrics are read, on both colours'),
    metrics: z
      .partialRecord(
        z.enum(metricNames),
        z
          .string()
          .min(1)
          .describe(
            'one number in the language of Prometheus; $scope: labels of a release, $over: the time measured over',
          ),
      )
      .default({})
      .describe('metrics of policies that only the application knows'),
    database: z
      .strictObject({
        service: z.string().min(1).describe('a core service that is PostgreSQL; asked for its connections by psql'),
      })
      .optional()
      .describe('the database whose use of connections is measured (S1-59)'),
    policies: z
      .array(z.string().min(1))
      .optional()
      .describe('policies whose alerts are raised; left out: deploy.policy, and that of a running rollout'),
  })
  .describe('Prometheus, Alertmanager and the exporter in the core stack; left out, there are none');
export type MonitoringConfig = z.output<typeof monitoringSchema>;
