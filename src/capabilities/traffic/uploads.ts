import { colours } from '../../lib/colour.ts';
import { block } from './nginx-text.ts';

const zone = 'appliance_uploads';

/**
 * Counts the requests of each colour that bring something: nginx chooses the colour before it reads what a client sends, and
 * connects when it has all of it, so a slow upload shows in no table of connections. It counts them for limits, across
 * workers and until they have ended; the limit here is the largest that there is. The ordinary request costs it one map.
 */
export const uploadLines = [
  'map $request_method $appliance_upload { GET ""; HEAD ""; OPTIONS ""; default $appliance_colour; }',
  // Size and name stay the same for ever: a reload keeps the counts only then.
  `limit_conn_zone $appliance_upload zone=${zone}:64k;`,
  `limit_conn ${zone} 65535;`,
];

/** For the agent: `PUT /uploads/COLOUR` is one more request of that colour, and refused where there is another. */
export const uploadControl = colours.map((colour) =>
  block(`location = /uploads/${colour}`, [
    `set $appliance_steady ${colour};`,
    `limit_conn ${zone} 1;`,
    'limit_conn_status 409;',
    'limit_conn_log_level info;',
    'js_content edge.control;',
  ]),
);
