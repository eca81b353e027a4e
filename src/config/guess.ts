import { z } from 'zod';

/** The part of a resolved Compose model that says what a service probably is. */
const serviceSchema = z.looseObject({
  image: z.string().optional(),
  build: z.looseObject({}).optional(),
  command: z.union([z.string(), z.array(z.string())]).nullish(),
  depends_on: z.record(z.string(), z.looseObject({ condition: z.string() })).optional(),
  expose: z.array(z.union([z.string(), z.number()])).nullish(),
  healthcheck: z.looseObject({ test: z.union([z.string(), z.array(z.string())]).nullish() }).optional(),
  ports: z.array(z.looseObject({ target: z.coerce.number(), published: z.coerce.string().optional() })).nullish(),
  restart: z.string().optional(),
  volumes: z.array(z.looseObject({ type: z.string(), source: z.string().optional() })).nullish(),
});
export type DraftService = z.output<typeof serviceSchema>;

export const draftModelSchema = z.looseObject({
  name: z.string().optional(),
  services: z.record(z.string(), serviceSchema),
});
export type DraftModel = z.output<typeof draftModelSchema>;

export type DraftRole = 'app' | 'core' | 'migrate' | 'job' | 'ignore';

export interface Guess {
  readonly role: DraftRole;
  /** Why, for people. */
  readonly why: string;
}

const stores =
  /^(?:postgres(?:ql)?|postgis|timescaledb?|pgvector|pgbouncer|mysql|mariadb|percona|mssql|mongo(?:db)?|redis|valkey|keydb|dragonfly|memcached|rabbitmq|nats|kafka|zookeeper|elasticsearch|opensearch|clickhouse|influxdb|minio|etcd|consul|vault|cassandra|cockroach|neo4j|qdrant|milvus|weaviate|prometheus|alertmanager|grafana|loki|mosquitto)\b/;
const proxies = /^(?:nginx|nginx-proxy|traefik|caddy|haproxy|envoy)\b/;
const migrations =
  /\b(?:alembic|prisma|flyway|liquibase|knex|sequelize|dbmate|goose|sqitch|atlas|migrate|migrations?|db:migrate|ef database update)\b/i;

/** `bitnami/postgresql:16` → `postgresql`. */
function imageName(image: string | undefined): string {
  return (image ?? '').split('@')[0]?.split('/').at(-1)?.split(':')[0]?.toLowerCase() ?? '';
}

function commandText({ command }: DraftService): string {
  return Array.isArray(command) ? command.join(' ') : (command ?? '');
}

/** Guesses what a service is. Pure. @param model the whole project, for who waits for whom */
export function guessRole(name: string, service: DraftService, model: DraftModel): Guess {
  const image = imageName(service.image);
  const published = (service.ports ?? []).map((port) => port.published);
  const awaited = Object.values(model.services).some(
    (other) => other.depends_on?.[name]?.condition === 'service_completed_successfully',
  );
  const oneShot = awaited || (service.restart === 'no' && published.length === 0);
  if (oneShot) {
    const why = awaited ? 'others wait until it has completed' : 'it is not restarted and publishes nothing';
    return migrations.test(`${commandText(service)} ${name}`)
      ? { role: 'migrate', why: `${why}, and its command migrates a schema` }
      : { role: 'job', why };
  }
  if (proxies.test(image) && published.some((port) => port === '80' || port === '443'))
    return { role: 'ignore', why: `${image} on port 80 or 443: the edge of the appliance takes its place` };
  if (stores.test(image)) return { role: 'core', why: `${image} keeps data that both colours share` };
  const volumes = (service.volumes ?? []).filter(({ type, source }) => type === 'volume' && source !== undefined);
  if (!service.build && volumes.length > 0)
    return { role: 'core', why: 'a ready-made image with a named volume: it keeps data' };
  return {
    role: 'app',
    why: service.build ? 'built from this repository: rolled with each release' : 'rolled with each release',
  };
}

/** The address that a healthcheck asks, if it asks one. */
export function healthUrl(service: DraftService): { port: number; path: string } | undefined {
  const test = service.healthcheck?.test;
  const text = Array.isArray(test) ? test.join(' ') : (test ?? '');
  const match = /https?:\/\/(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::(\d{1,5}))?(\/[^\s'"|;&)]*)?/.exec(text);
  if (!match) return undefined;
  return { port: Number(match[1] ?? (match[0].startsWith('https') ? 443 : 80)), path: match[2] ?? '/' };
}

/** Ports inside the container, the most telling first: published, exposed, asked by the healthcheck. */
export function portsOf(service: DraftService): number[] {
  const exposed = (service.expose ?? []).map((text) => Number.parseInt(String(text), 10));
  const asked = healthUrl(service)?.port;
  const all = [
    ...(service.ports ?? []).map(({ target }) => target),
    ...exposed,
    ...(asked === undefined ? [] : [asked]),
  ];
  return [...new Set(all)].filter((port) => port >= 1 && port <= 65_535);
}
