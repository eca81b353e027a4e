// The traffic script of the edge. It runs inside nginx (njs).
//
// Which colour a request gets stands in two places, both in /edge/state or beside it:
//   all-blue, all-green   a marker file: all traffic on that colour. nginx itself looks for it (`if (-f …)`), because
//                         that costs a quarter of what calling a script costs. Where one exists, it wins.
//   the dictionary        without a marker, during a canary, this script decides. `appliance_traffic` holds one key, so
//                         that a change is atomic for every worker:
//                         pick = "blue" | "green" | "1" … "99", the percentage of clients that get green
// Which release stands on a colour is in the dictionary as well (release_blue, release_green), so that a deploy that only
// changes the tag needs no reload; an application that says itself which release it is costs no script at all.
//
// The dictionary is empty after a start and then filled from /edge/state/weights.json, which the agent writes before
// it sets the dictionary; a restarted nginx therefore comes back as it was. A reload keeps the dictionary.
// biome-ignore lint/style/useNodejsImportProtocol: njs knows the module by this name alone
import fs from 'fs';

const markers = { blue: '/edge/state/all-blue', green: '/edge/state/all-green' };
const weightsFile = '/edge/state/weights.json';
const releasesFile = '/edge/state/releases.json';
const cookie = 'appliance_bucket';

/**
 * The colour of a request without a marker: "blue", "green", or "" while no weights are known. During a canary a client that has
 * neither key nor cookie gets a bucket, which follows the colour after a blank ("green 42") to be set as cookie.
 */
function pick(r) {
  const value = ngx.shared.appliance_traffic.get('pick');
  return value === 'blue' || value === 'green' ? value : choose(r, value === undefined ? load() : value);
}

/** Buckets below the share of green get green, so a client that has once seen a growing colour stays on it. */
function choose(r, value) {
  const share = Number(value);
  if (value === '' || !(share >= 0)) return value;
  const key = r.headersIn['X-Appliance-Sticky'];
  if (key) return hash(key) % 100 < share ? 'green' : 'blue';
  const known = new RegExp(`(?:^|;\\s*)${cookie}=(\\d{1,2})(?:;|$)`).exec(r.headersIn.Cookie || '');
  const bucket = known ? Number(known[1]) : Math.floor(Math.random() * 100);
  const colour = bucket < share ? 'green' : 'blue';
  return known ? colour : `${colour} ${bucket}`;
}

/** FNV-1a, 32 bits: the same key falls into the same bucket in every worker and after every restart. */
function hash(text) {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193) >>> 0;
  }
  return value;
}

/** Fills the dictionary from the file. `add` loses against a value that the agent has set meanwhile. */
function load() {
  let value;
  try {
    value = encode(JSON.parse(fs.readFileSync(weightsFile, 'utf8')));
  } catch (error) {
    if (error.code !== 'ENOENT') ngx.log(ngx.ERR, `${weightsFile} cannot be used: ${error.message}`);
    return '';
  }
  if (value === undefined) {
    ngx.log(ngx.ERR, `${weightsFile} does not hold two weights that add up to 100`);
    return '';
  }
  ngx.shared.appliance_traffic.add('pick', value);
  return ngx.shared.appliance_traffic.get('pick');
}

/** {blue, green} → dictionary value, or undefined when they are no weights. */
function encode(weights) {
  if (weights === null || typeof weights !== 'object') return undefined;
  const blue = weights.blue;
  const green = weights.green;
  if (!isShare(blue) || !isShare(green) || blue + green !== 100) return undefined;
  if (blue === 100) return 'blue';
  return green === 100 ? 'green' : String(green);
}

function isShare(value) {
  return typeof value === 'number' && value >= 0 && value <= 100 && Math.floor(value) === value;
}

/** What requests get now, or null while no weights are known. The same order as in the configuration: blue first. */
function weights() {
  if (exists(markers.blue)) return { blue: 100, green: 0 };
  if (exists(markers.green)) return { blue: 0, green: 100 };
  return scripted();
}

function exists(path) {
  try {
    fs.accessSync(path);
    return true;
  } catch (_error) {
    return false;
  }
}

/** What the dictionary says. */
function scripted() {
  const held = ngx.shared.appliance_traffic.get('pick');
  const value = held === undefined ? load() : held;
  if (value === '') return null;
  const green = value === 'green' ? 100 : value === 'blue' ? 0 : Number(value);
  return { blue: 100 - green, green };
}

/** The release on the colour of a request, as the agent recorded it: for answers that do not say it themselves. */
function release(r) {
  const colour = r.variables.appliance_colour;
  return colour === 'blue' || colour === 'green' ? recorded(colour) || 'none' : 'none';
}

/** @returns '' when nothing is recorded */
function recorded(colour) {
  const held = ngx.shared.appliance_traffic.get(`release_${colour}`);
  if (held !== undefined) return held;
  try {
    keep(JSON.parse(fs.readFileSync(releasesFile, 'utf8')));
  } catch (error) {
    if (error.code !== 'ENOENT') ngx.log(ngx.ERR, `${releasesFile} cannot be used: ${error.message}`);
    keep({ blue: null, green: null });
  }
  return ngx.shared.appliance_traffic.get(`release_${colour}`) || '';
}

/** {blue, green}, tags or null → dictionary. @returns whether they are releases */
function keep(releases) {
  const valid = (tag) => tag === null || (typeof tag === 'string' && /^[\w.-]{1,128}$/.test(tag));
  if (releases === null || typeof releases !== 'object' || !valid(releases.blue) || !valid(releases.green))
    return false;
  ngx.shared.appliance_traffic.set('release_blue', releases.blue || '');
  ngx.shared.appliance_traffic.set('release_green', releases.green || '');
  return true;
}

function releases() {
  return { blue: recorded('blue') || null, green: recorded('green') || null };
}

function answer(r, status, body) {
  r.headersOut['Content-Type'] = 'application/json';
  r.return(status, `${JSON.stringify(body)}\n`);
}

function state(r) {
  const v = r.variables;
  return {
    generation: v.appliance_generation,
    worker: Number(v.pid),
    weights: weights(),
    releases: releases(),
    connections: {
      active: Number(v.connections_active),
      reading: Number(v.connections_reading),
      writing: Number(v.connections_writing),
      waiting: Number(v.connections_waiting),
    },
  };
}

/**
 * For the agent, on the Unix socket: GET /weights (what requests get), PUT /weights (sets the dictionary and answers
 * with what it holds), PUT /releases, PUT /uploads/COLOUR (answered where no other upload is under way), GET /status.
 */
function control(r) {
  if (r.uri === '/weights' && r.method === 'PUT') {
    let value;
    try {
      value = encode(JSON.parse(r.requestText));
    } catch (_error) {
      value = undefined;
    }
    if (value === undefined) {
      answer(r, 400, { error: 'write {"blue":n,"green":m}: whole numbers from 0 to 100 that add up to 100' });
      return;
    }
    ngx.shared.appliance_traffic.set('pick', value);
    answer(r, 200, scripted());
  } else if (r.uri === '/weights' && r.method === 'GET') {
    const held = weights();
    answer(r, held ? 200 : 404, held || { error: 'no weights are known' });
  } else if (r.uri === '/releases' && r.method === 'PUT') {
    let kept;
    try {
      kept = keep(JSON.parse(r.requestText));
    } catch (_error) {
      kept = false;
    }
    if (kept) answer(r, 200, releases());
    else answer(r, 400, { error: 'write {"blue":tag,"green":tag}: tags or null' });
  } else if (r.uri.startsWith('/uploads/') && r.method === 'PUT') {
    answer(r, 200, { uploading: false });
  } else if (r.uri === '/status' && r.method === 'GET') {
    answer(r, 200, state(r));
  } else {
    answer(r, 404, { error: `no ${r.method} ${r.uri}` });
  }
}

/** /_appliance/status: the same for people, on the public listeners, for internal addresses only. */
function status(r) {
  answer(r, 200, state(r));
}

/** /_appliance/metrics in the text format of Prometheus, for internal addresses only. */
function metrics(r) {
  const now = state(r);
  const lines = [
    '# HELP appliance_edge_connections Client connections of the edge by what they do.',
    '# TYPE appliance_edge_connections gauge',
  ];
  ['reading', 'writing', 'waiting'].forEach((kind) => {
    lines.push(`appliance_edge_connections{state="${kind}"} ${now.connections[kind]}`);
  });
  if (now.weights) {
    lines.push('# HELP appliance_edge_weight Share of new requests that a colour gets, 0 to 100.');
    lines.push('# TYPE appliance_edge_weight gauge');
    ['blue', 'green'].forEach((colour) => {
      lines.push(`appliance_edge_weight{colour="${colour}"} ${now.weights[colour]}`);
    });
  }
  r.headersOut['Content-Type'] = 'text/plain; version=0.0.4';
  r.return(200, `${lines.join('\n')}\n`);
}

export default { pick, release, control, status, metrics };
