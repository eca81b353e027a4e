import { detach, wait } from './shared.ts';
import type { VerbSpec } from './spec.ts';

const certificate = {
  name: 'certificate',
  help: 'its name in appliance.yaml, or one of its domains; may be left out where there is one',
} as const;

/** Verbs about certificates. */
export const certificatesVerbs = {
  certs: {
    summary: 'which certificates there are, what is served, when each is renewed',
    group: 'certificates',
    gate: 'look',
    about: 'SERVED is what a real handshake with the edge shows.',
    examples: ['appliance certs', 'appliance certs status --json'],
  },
  'certs status': { summary: 'the same as certs', group: 'certificates', gate: 'look' },
  'certs issue': {
    summary: 'get a new certificate now, serve it, and prove that it is served',
    group: 'certificates',
    gate: 'act',
    args: [certificate],
    options: { detach, wait },
    about:
      'From the authority that appliance.yaml names; without one it is self-signed. Before an attempt is spent it looks at DNS, CAA and port 80, and at the limits of the authority. After a failure the staging directory is tried first. An order that was cut short is gone on with.',
    examples: ['appliance certs issue', 'appliance certs issue shop.example.com'],
  },
  'certs renew': {
    summary: 'renew the certificates that are due',
    group: 'certificates',
    gate: 'act',
    args: [certificate],
    options: { force: { help: 'also those that are not due' }, wait },
    about:
      'The agent does so by itself; this is for those who do not want to wait. Exit status 0 also when none is due.',
    examples: ['appliance certs renew', 'appliance certs renew --force --json'],
  },
  'certs import': {
    summary: 'take over a certificate and its key from files, and serve it',
    group: 'certificates',
    gate: 'act',
    args: [
      { name: 'chain', required: true, help: 'PEM file: the certificate first, then those that signed it' },
      { name: 'key', required: true, help: 'PEM file with its private key' },
    ],
    options: { set: { value: 'CERTIFICATE', help: 'its name in appliance.yaml' }, detach, wait },
    about:
      'Refused when the key is of another certificate, the chain has a gap, a domain is not covered, or it has ended. Both files are watched: newer ones that fit are taken over within a minute.',
    examples: ['appliance certs import fullchain.pem privkey.pem'],
  },
  'certs dry-run': {
    summary: 'try everything that a new certificate takes, and keep nothing',
    group: 'certificates',
    gate: 'act',
    args: [certificate],
    options: { detach, wait },
    about:
      'Against the staging directory of the authority where one is known; else only what can be seen without an attempt.',
    examples: ['appliance certs dry-run'],
  },
} as const satisfies Record<string, VerbSpec>;
