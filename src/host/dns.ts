import { lookup, Resolver } from 'node:dns/promises';
import { systemCode } from '../lib/errors.ts';

interface CaaRecord {
  readonly tag: string;
  readonly value: string;
}

/** What the name service says. An answer that there is nothing is an empty list. */
export interface NameService {
  /** A and AAAA. @throws Error of the system where nobody answers */
  addresses(name: string): Promise<string[]>;
  /** Certification Authority Authorization of this very name (RFC 8659). @throws Error of the system */
  caa(name: string): Promise<CaaRecord[]>;
  /** TXT, each record in one piece. @throws Error of the system */
  texts(name: string): Promise<string[]>;
}

const nothing = ['ENOTFOUND', 'ENODATA', 'EAI_NONAME', 'ENONAME'];

/** The name service that the host uses. */
export function systemNames(): NameService {
  const resolver = new Resolver({ timeout: 3_000, tries: 2 });
  return {
    // As every program on this host sees it, /etc/hosts included.
    addresses: (name) => orNothing(lookup(name, { all: true }).then((all) => all.map(({ address }) => address))),
    caa: (name) =>
      orNothing(
        resolver
          .resolveCaa(name)
          .then((all) =>
            all.flatMap(({ issue, issuewild }) => [
              ...(issue === undefined ? [] : [{ tag: 'issue', value: issue }]),
              ...(issuewild === undefined ? [] : [{ tag: 'issuewild', value: issuewild }]),
            ]),
          ),
      ),
    texts: (name) => orNothing(resolver.resolveTxt(name).then((all) => all.map((parts) => parts.join('')))),
  };
}

async function orNothing<T>(work: Promise<T[]>): Promise<T[]> {
  try {
    return await work;
  } catch (error) {
    if (nothing.includes(systemCode(error) ?? '')) return [];
    throw error;
  }
}
