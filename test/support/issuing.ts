import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AttemptLog, certificateMigrations } from '../../src/capabilities/certificates/attempts.ts';
import { dnsResponder, httpResponder } from '../../src/capabilities/certificates/challenges.ts';
import { AcmeIssuer, type IssuerDeps } from '../../src/capabilities/certificates/issuer.ts';
import { CertificateStore } from '../../src/capabilities/certificates/store.ts';
import { type CertificateSet, type CertificatesConfig, certificatesSchema } from '../../src/config/certificates.ts';
import type { NameService } from '../../src/host/dns.ts';
import { type Database, openDatabase } from '../../src/host/sqlite.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { pathsFor } from '../../src/lib/paths.ts';

/** Everything that issues a certificate, on a directory of its own, with a web server in place of the edge. */
export class IssuingLab {
  readonly root: string;
  readonly database: Database;
  readonly store: CertificateStore;
  readonly log: AttemptLog;
  readonly acmeDirectory: string;
  readonly port: number;
  readonly #server: Server | undefined;

  private constructor(root: string, server: Server | undefined) {
    this.root = root;
    this.#server = server;
    this.port = server ? portOf(server) : 0;
    const paths = pathsFor(root);
    this.acmeDirectory = join(paths.edge, 'acme');
    this.database = openDatabase(join(root, 'state.db'), [certificateMigrations]);
    this.store = new CertificateStore(paths);
    this.log = new AttemptLog(this.database);
  }

  /** @param root of an earlier one, to go on after a crash; whoever made it serves */
  static async make(root?: string): Promise<IssuingLab> {
    if (root !== undefined) return new IssuingLab(root, undefined);
    const made = await mkdtemp(join(tmpdir(), 'issuing-'));
    const directory = join(pathsFor(made).edge, 'acme');
    const server = createServer((question, answer) => {
      const token = /^\/\.well-known\/acme-challenge\/([A-Za-z0-9_-]+)$/.exec(question.url ?? '')?.[1];
      const found = token === undefined ? Promise.reject(new Error('no token')) : readFile(join(directory, token));
      found.then(
        (content) => answer.end(content),
        () => answer.writeHead(404).end(),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    return new IssuingLab(made, server);
  }

  /** @param acme the section `certificates.acme` of appliance.yaml */
  issuer(
    acme: Readonly<Record<string, unknown>>,
    more: Partial<IssuerDeps> & { readonly key?: unknown } = {},
  ): AcmeIssuer {
    const { key, ...deps } = more;
    const config: CertificatesConfig = certificatesSchema.parse({ acme, ...(key === undefined ? {} : { key }) });
    return new AcmeIssuer({
      config,
      clock: systemClock,
      store: this.store,
      log: this.log,
      directory: join(this.root, 'certificates'),
      responder: (challenge) =>
        challenge === 'dns-01' && config.acme.hook !== undefined
          ? dnsResponder(config.acme.hook, config.acme.hookTimeout)
          : httpResponder(this.acmeDirectory),
      names: loopbackNames,
      port: this.port,
      ...deps,
    });
  }

  async close(): Promise<void> {
    this.database.close();
    // A connection that was never used would be waited for.
    this.#server?.closeAllConnections();
    await new Promise((resolve) => (this.#server ? this.#server.close(resolve) : resolve(undefined)));
    await rm(this.root, { recursive: true, force: true });
  }
}

/** Every name leads to this host, and nobody has CAA records. */
export const loopbackNames: NameService = {
  addresses: async () => ['127.0.0.1'],
  caa: async () => [],
  texts: async () => [],
};

export function setOf(domains: readonly string[], more: Partial<CertificateSet> = {}): CertificateSet {
  return { name: 'edge', domains, issuer: 'acme', challenge: 'http-01', profile: undefined, ...more };
}

/** Something to hand to whoever tells of progress. */
export function context(): { signal: AbortSignal; progress(text: string): void; readonly told: string[] } {
  const told: string[] = [];
  return { signal: new AbortController().signal, progress: (text) => void told.push(text), told };
}

export function portOf(server: Server): number {
  const at: AddressInfo | string | null = server.address();
  return typeof at === 'object' && at !== null ? at.port : 0;
}
