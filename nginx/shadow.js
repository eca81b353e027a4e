// The part of shadow traffic that runs inside nginx (njs); imported only where appliance.yaml has a section `shadow`.
//
// Nothing is sent from here. Of some requests, once they are answered, the request and its answer are put into a shared
// dictionary, from which the agent takes them over the control socket; the agent asks the idle colour and compares
// (docs/decisions/0015-shadow-traffic.md). So a shadow can delay nobody: its request begins when that of the client is over.
//   appliance_shadow     numbers: until (milliseconds since 1970: a lease that the agent renews), share (0 to 100), green (1
//                        when green serves), missed
//   appliance_exchanges  the exchanges that wait for the agent, in memory alone, for a few seconds at most
// /edge/state/shadow is there while a colour is shadowed; without it, nothing of this is called.

/** Exchanges that may wait; beyond that the idle colour, or the agent, is too slow. */
const mostWaiting = 64;
/** Bytes of a body that are kept. */
const longestBody = 65536;
/** Bytes that the agent gets at once. */
const mostAtOnce = 1048576;

/** The colour of a request that is to be copied, else "". Called for requests of the configured methods alone. */
function sample(r) {
  const state = ngx.shared.appliance_shadow;
  if (!(state.get('until') > Date.now()) || Math.random() * 100 >= state.get('share')) return '';
  const colour = r.variables.appliance_colour;
  if (colour !== (state.get('green') ? 'green' : 'blue') || r.headersIn.Upgrade) return '';
  if (ngx.shared.appliance_exchanges.size() >= mostWaiting) {
    state.incr('missed', 1, 0);
    return '';
  }
  return colour;
}

/** Passes an answer on as it is, and keeps what fits of it: hexadecimal, with a full stop at its end, or "x" for too long. */
function keep(r, data, flags) {
  // Each part at once, as nginx itself would: a stream must not wait here.
  r.sendBuffer(data, { last: flags.last, flush: true });
  try {
    const held = r.variables.appliance_shadow_body || '';
    if (held === 'x') return;
    const whole = held.length + 2 * data.length > 2 * longestBody ? 'x' : held + data.toString('hex');
    r.variables.appliance_shadow_body = flags.last && whole !== 'x' ? `${whole}.` : whole;
  } catch (error) {
    ngx.log(ngx.ERR, `an answer could not be copied: ${error.message}`);
  }
}

/** When a request is over: leaves it and its answer for the agent. Evaluated by access_log; always "", which logs nothing. */
function take(r) {
  try {
    const exchange = exchangeOf(r);
    if (exchange === undefined) return '';
    ngx.shared.appliance_exchanges.add(exchange.id, JSON.stringify(exchange));
  } catch (_error) {
    // The dictionary is full, or the body of the request is in a file.
    ngx.shared.appliance_shadow.incr('missed', 1, 0);
  }
  return '';
}

/** @returns undefined for what cannot be compared: an answer that was cut off, or one that depends on what the client has */
function exchangeOf(r) {
  const v = r.variables;
  if (r.status < 200 || r.status === 206 || r.status === 304 || String(r.status) !== v.upstream_status)
    return undefined;
  const held = v.appliance_shadow_body || '';
  const bare = r.method === 'HEAD' || r.status === 204;
  if (!bare && held !== 'x' && held.slice(-1) !== '.') return undefined;
  const body = r.requestBuffer;
  return {
    id: `${v.connection}-${v.connection_requests}-${v.pid}`,
    at: Date.now(),
    requestId: v.appliance_request_id,
    client: v.remote_addr,
    scheme: v.scheme,
    method: r.method,
    target: v.request_uri,
    path: r.uri,
    headers: r.rawHeadersIn,
    body: body ? body.toString('hex') : '',
    answer: {
      status: r.status,
      type: v.upstream_http_content_type || '',
      encoding: v.upstream_http_content_encoding || '',
      body: held === 'x' ? null : held.replace('.', ''),
      seconds: Number(v.upstream_response_time),
    },
  };
}

/**
 * For the agent, on the control socket. PUT /shadow {from, share, seconds, most}: copies that share of the requests to the
 * colour `from` for some seconds, and hands over what waits, at most so many; a share of 0 ends it and forgets what waits.
 */
function control(r) {
  let wish;
  try {
    wish = JSON.parse(r.requestText);
  } catch (_error) {
    wish = undefined;
  }
  const sound = wish && (wish.from === 'blue' || wish.from === 'green') && wish.share >= 0 && wish.share <= 100;
  if (r.method !== 'PUT' || !sound || !(wish.seconds >= 0) || !(wish.most >= 0)) {
    r.return(400, '{"error":"PUT {from, share, seconds, most}"}\n');
    return;
  }
  const state = ngx.shared.appliance_shadow;
  state.set('share', wish.share);
  state.set('green', wish.from === 'green' ? 1 : 0);
  state.set('until', wish.share > 0 ? Date.now() + 1000 * wish.seconds : 0);
  const missed = state.get('missed') || 0;
  if (missed > 0) state.incr('missed', -missed);
  const waiting = ngx.shared.appliance_exchanges;
  if (wish.share === 0) waiting.clear();
  const taken = [];
  let size = 0;
  const keys = wish.share > 0 && wish.most > 0 ? waiting.keys(wish.most) : [];
  for (let index = 0; index < keys.length && size < mostAtOnce; index += 1) {
    const text = waiting.get(keys[index]);
    waiting.delete(keys[index]);
    if (text !== undefined) {
      taken.push(text);
      size += text.length;
    }
  }
  r.headersOut['Content-Type'] = 'application/json';
  r.return(200, `{"missed":${missed},"exchanges":[${taken.join(',')}]}\n`);
}

export default { sample, keep, take, control };
