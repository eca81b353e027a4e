/**
 * One line of the access log, as JSON: `$uri` is the path without the query string, in which secrets travel.
 * Of several attempts the upstream fields list all, separated by commas.
 */
const fields: readonly (readonly [string, string])[] = [
  ['time', '"$time_iso8601"'],
  ['id', '"$appliance_request_id"'],
  ['client', '"$remote_addr"'],
  ['host', '"$host"'],
  ['method', '"$request_method"'],
  ['uri', '"$uri"'],
  ['protocol', '"$server_protocol"'],
  ['status', '$status'],
  ['bytes', '$bytes_sent'],
  ['seconds', '$request_time'],
  ['colour', '"$appliance_colour"'],
  ['release', '"$appliance_release"'],
  ['upstream', '"$upstream_addr"'],
  ['upstreamSeconds', '"$upstream_response_time"'],
  ['upstreamStatus', '"$upstream_status"'],
];

/** The line that defines a format. */
function format(name: string, values: typeof fields): string {
  return `log_format ${name} escape=json '{${values.map(([field, value]) => `"${field}":${value}`).join(',')}}';`;
}

/** Where the lines go. */
export const accessLog = 'access_log /edge/log/access.log appliance buffer=64k flush=1s;';

/** The same for what the edge answers without looking for a release, so that it counts for none. */
export const edgeAccessLog = accessLog.replace(' appliance ', ' appliance_edge ');

/** The `log_format` line named `appliance`. */
export const accessLogFormat = format('appliance', fields);

/** The one named `appliance_edge`. */
export const edgeAccessLogFormat = format(
  'appliance_edge',
  fields.map(([name, value]) => [name, { colour: '""', release: '"none"' }[name] ?? value] as const),
);
