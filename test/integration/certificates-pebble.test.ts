import { X509Certificate } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Stored } from '../../src/capabilities/certificates/store.ts';
import { context, IssuingLab, setOf } from '../support/issuing.ts';
import { hostAddress, Pebble } from '../support/pebble.ts';

let lab: IssuingLab;
let address: string;

beforeAll(async () => {
  address = await hostAddress();
});
beforeEach(async () => {
  lab = await IssuingLab.make();
});
afterEach(() => lab.close());

/** Pebble looks at the port of the lab, which is another one each time. */
async function withPebble(
  options: Partial<Parameters<typeof Pebble.start>[0]>,
  work: (pebble: Pebble) => Promise<void>,
): Promise<void> {
  const pebble = await Pebble.start({ address, port: lab.port, ...options });
  try {
    await work(pebble);
  } finally {
    await pebble.stop();
  }
}

describe('a real ACME authority (S1-29, S1-49)', () => {
  test.each([
    ['every authorization new, a fifth of all nonces rejected', { authzReuse: 0, nonceReject: 20 }],
    ['authorizations reused', { authzReuse: 100, nonceReject: 20 }],
    ['validations that take their time', { authzReuse: 0, nonceReject: 20, sleep: 5 }],
  ])('issues for two names, renews with another key, and tells when to renew: %s', (_, options) =>
    withPebble(options, async (pebble) => {
      const issuer = lab.issuer({ directory: pebble.directory, root: pebble.root, email: 'ops@shop.example' });
      const set = setOf(['shop.example', 'Bücher.example']);
      const first = await issuer.issue(set, { replaced: undefined }, context());
      expect(first).toMatchObject({
        kind: 'acme',
        domains: expect.arrayContaining(['shop.example', 'xn--bcher-kva.example']),
      });
      expect((await stat(first.keyPath)).mode & 0o777).toBe(0o600);
      const chain = await readFile(first.chainPath, 'utf8');
      expect(chain.match(/BEGIN CERTIFICATE/g)?.length).toBeGreaterThan(1);
      const leaf = new X509Certificate(chain);
      expect(leaf.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
      expect(first.notAfter - first.notBefore).toBeCloseTo(90 * 86_400_000, -4);

      const second = await issuer.issue(set, { replaced: first }, context());
      expect(second.serial).not.toBe(first.serial);
      expect(await readFile(second.keyPath, 'utf8')).not.toBe(await readFile(first.keyPath, 'utf8'));

      const window = await issuer.suggestion(second, new AbortController().signal);
      expect(window?.start).toBeGreaterThan(second.notBefore);
      expect(window?.end).toBeLessThan(second.notAfter);
      expect(window?.end).toBeGreaterThan(window?.start ?? Number.POSITIVE_INFINITY);

      // Nothing is left where everybody can see it, and nothing of the order.
      expect(await readdir(lab.acmeDirectory)).toEqual([]);
      expect(await readdir(join(lab.root, 'certificates/orders'))).toEqual([]);
      const [account = ''] = await readdir(join(lab.root, 'certificates/account'));
      expect((await stat(join(lab.root, 'certificates/account', account, 'key.pem'))).mode & 0o777).toBe(0o600);
    }),
  );

  test('renews what another account has got, and what another authority has', () =>
    withPebble({}, async (pebble) => {
      const issue = ({ directory, root }: Pebble, replaced?: Stored) => {
        const issuer = lab.issuer({ directory, root, email: 'ops@shop.example' });
        return issuer.issue(setOf(['shop.example']), { replaced: replaced && { ...replaced, directory } }, context());
      };
      const first = await issue(pebble);
      await rm(join(lab.root, 'certificates/account'), { recursive: true });
      const second = await issue(pebble, first);
      expect(second.serial).not.toBe(first.serial);
      await withPebble({}, async (another) => {
        expect((await issue(another, second)).serial).not.toBe(second.serial);
      });
    }));

  test('keeps a pinned key, of any type that is asked for, and says that there are no profiles', () =>
    withPebble({ lifetime: 6 * 86_400 }, async (pebble) => {
      const acme = { directory: pebble.directory, root: pebble.root };
      const set = setOf(['shop.example']);
      const pinned = lab.issuer(acme, { key: { type: 'rsa-2048', pin: true } });
      const first = await pinned.issue(set, { replaced: undefined }, context());
      await lab.store.adoptFirst(first);
      expect(first.notAfter - first.notBefore).toBeCloseTo(6 * 86_400_000, -4);
      const second = await pinned.issue(set, { replaced: first }, context());
      expect(await readFile(second.keyPath, 'utf8')).toBe(await readFile(first.keyPath, 'utf8'));
      expect(new X509Certificate(await readFile(second.chainPath)).publicKey.asymmetricKeyType).toBe('rsa');

      const wrong = lab
        .issuer(acme)
        .issue(setOf(['shop.example'], { profile: 'shortlived' }), { replaced: undefined }, context());
      await expect(wrong).rejects.toMatchObject({
        code: 'config_invalid',
        hint: expect.stringContaining('it has none at all'),
      });
    }));

  test('binds the account to an external one, and says when it must be', () =>
    withPebble(
      {
        externalAccount: {
          keyId: 'kid-1',
          hmacKey: 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W',
        },
      },
      async (pebble) => {
        const acme = { directory: pebble.directory, root: pebble.root };
        const set = setOf(['shop.example']);
        await expect(lab.issuer(acme).issue(set, { replaced: undefined }, context())).rejects.toMatchObject({
          code: 'config_invalid',
          message: 'the authority asks for an External Account Binding',
        });
        const hmacFile = join(lab.root, 'hmac');
        await writeFile(hmacFile, 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n', {
          mode: 0o644,
        });
        const bound = { ...acme, externalAccount: { keyId: 'kid-1', hmacFile } };
        await expect(lab.issuer(bound).issue(set, { replaced: undefined }, context())).rejects.toMatchObject({
          code: 'config_invalid',
          hint: `chmod 600 ${hmacFile}`,
        });
        await writeFile(join(lab.root, 'hmac-600'), await readFile(hmacFile), { mode: 0o600 });
        const good = { ...acme, externalAccount: { keyId: 'kid-1', hmacFile: join(lab.root, 'hmac-600') } };
        expect(await lab.issuer(good).issue(set, { replaced: undefined }, context())).toMatchObject({ kind: 'acme' });
      },
    ));

  test('proves a wildcard by DNS-01, through a program of the operator without a shell', () =>
    withPebble({}, async (pebble) => {
      const hook = join(lab.root, 'hook');
      const container = pebble.id;
      await mkdir(lab.root, { recursive: true });
      await writeFile(
        hook,
        `#!/bin/sh
set -eu
printf '%s %s %s\\n' "$1" "$ACME_RECORD" "$ACME_DOMAIN" >>'${lab.root}/calls'
case $1 in
  present) path=set-txt body="{\\"host\\":\\"$ACME_RECORD.\\",\\"value\\":\\"$ACME_VALUE\\"}" ;;
  cleanup) path=clear-txt body="{\\"host\\":\\"$ACME_RECORD.\\"}" ;;
esac
docker exec '${container}' perl -MIO::Socket::INET -e '
  my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:8055") or die "no name service"; my ($p, $b) = @ARGV;
  print $s "POST /$p HTTP/1.0\\r\\nContent-Length: ".length($b)."\\r\\n\\r\\n$b"; my $l = <$s>; die $l unless $l =~ / 200 /;' "$path" "$body"
`,
        { mode: 0o755 },
      );
      const issuer = lab.issuer({ directory: pebble.directory, root: pebble.root, hook });
      const set = setOf(['*.shop.example', 'shop.example'], { challenge: 'dns-01' });
      const stored = await issuer.issue(set, { replaced: undefined }, context());
      expect(stored.domains).toEqual(expect.arrayContaining(['*.shop.example', 'shop.example']));
      const calls = (await readFile(join(lab.root, 'calls'), 'utf8')).trim().split('\n').sort();
      expect(calls).toEqual([
        ...['cleanup', 'cleanup', 'present', 'present'].map(
          (what) => `${what} _acme-challenge.shop.example shop.example`,
        ),
      ]);
    }));

  test('says why a name was not validated, and counts it', () =>
    withPebble({}, async (pebble) => {
      const issuer = lab.issuer({
        directory: pebble.directory,
        root: pebble.root,
        preflight: false,
        failuresPerHour: 1,
      });
      const set = setOf(['shop.example']);
      // The edge serves nothing.
      const nobody = lab.issuer(
        { directory: pebble.directory, root: pebble.root, preflight: false, failuresPerHour: 1 },
        {
          responder: () => ({ present: async () => undefined, remove: async () => undefined }),
        },
      );
      await expect(nobody.issue(set, { replaced: undefined }, context())).rejects.toMatchObject({
        code: 'certificate_refused',
        message: expect.stringMatching(/could not validate shop\.example: .*(404|status)/i),
      });
      await expect(issuer.issue(set, { replaced: undefined }, context())).rejects.toMatchObject({
        code: 'certificate_limited',
        message: expect.stringContaining('1 validations of shop.example failed within an hour'),
        hint: expect.stringMatching(/\(in (59 min|60 min|1 h)/),
      });
      await expect(issuer.issue(setOf(['blocked.example']), { replaced: undefined }, context())).rejects.toMatchObject({
        code: 'certificate_refused',
        hint: 'this authority issues nothing for such a name',
      });
    }));
});
