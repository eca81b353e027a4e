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

/** Where the lines go. */
export const accessLog = 'access_log /edge/log/access.log appliance buffer=64k flush=1s;';

/** The `log_format` line named `appliance`. */
export const accessLogFormat = `log_format appliance escape=json '{${fields.map(([name, value]) => `"${name}":${value}`).join(',')}}';`;
