import type { Config } from '../../../config/schema.ts';
import { safeMethods } from '../../../config/shadow.ts';
import type { Colour } from '../../../lib/colour.ts';
import { shadowName } from '../files.ts';
import { block, map } from '../nginx-text.ts';

/**
 * The lines of shadow traffic, level by level (docs/decisions/0015-shadow-traffic.md). Where appliance.yaml has no section
 * `shadow`, all of them are empty and the configuration is what it is without this.
 */
export interface ShadowLines {
  readonly http: readonly string[];
  /** Of the control server. */
  readonly control: readonly string[];
  /** Before the first rule of a public server. */
  readonly server: readonly string[];
  /** The way of a request that is copied, to the same pool as all others. @param pass `proxy_pass` and what ends the rules */
  location(colour: Colour, pass: string): readonly string[];
}

const none: ShadowLines = { http: [], control: [], server: [], location: () => [] };

/** A log that nginx never writes: its condition is evaluated when a request is over, and is always empty. */
const afterwards = 'access_log /dev/null appliance if=$appliance_shadow_taken;';

/** @param accessLog the `access_log` line of all requests, which a location that adds one repeats */
export function shadowLines(config: Config, accessLog: string): ShadowLines {
  const { shadow } = config;
  if (!shadow) return none;
  const bodies = shadow.methods.some((method) => !safeMethods.includes(method));
  return {
    http: [
      'js_import shadow from /usr/share/appliance/shadow.js;',
      // As with the other zone: what stays the same is kept by a reload.
      'js_shared_dict_zone zone=appliance_exchanges:16m timeout=10s type=string;',
      'js_shared_dict_zone zone=appliance_shadow:32k type=number;',
      'js_set $appliance_sampled shadow.sample;',
      'js_set $appliance_shadow_taken shadow.take;',
      'js_var $appliance_shadow_body;',
      map('"$appliance_shadowing|$request_method"', 'appliance_shadowed', [
        ...[...new Set(shadow.methods)].map((method) => [`"on|${method}"`, '$appliance_sampled'] as const),
        ['default', '""'],
      ]),
    ],
    control: ['location = /shadow { js_content shadow.control; }'],
    server: [
      'set $appliance_shadowing "";',
      `if (-f ${shadowName}) { set $appliance_shadowing on; }`,
      // What a client claims about itself is not passed on.
      'proxy_set_header X-Appliance-Shadow "";',
      // What goes to a file is not copied.
      ...(bodies ? ['client_body_buffer_size 64k;'] : []),
    ],
    location: (colour, pass) => [
      block(`if ($appliance_shadowed = ${colour})`, [
        'js_body_filter shadow.keep buffer_type=buffer;',
        accessLog,
        afterwards,
        pass,
      ]),
    ],
  };
}
