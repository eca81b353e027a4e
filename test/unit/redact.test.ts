import { describe, expect, it } from 'vitest';
import { type KnownSecret, knownForms, Redactor } from '../../src/lib/redact.ts';

const pem = (body: string) =>
  ['-----BEGIN', 'PRIVATE KEY-----'].join(' ').concat(`\n${body}\n`, ['-----END', 'PRIVATE KEY-----'].join(' '));
const keyBody =
  'MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\nVJTUt9Us8cKjMzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNb';
const known: KnownSecret[] = [
  { name: 'POSTGRES_PASSWORD', value: 'correct-horse-battery' },
  { name: 'LDAP_BIND_PASSWORD', value: 'p@ss"wörd\\with/odd&signs' },
  { name: 'key of the backups', value: '4F2K-9XQ7-AAAA-BBBB-CCCC-DDDD-EEEE-FFFF' },
  { name: 'private key', value: pem(keyBody) },
  { name: 'receiver pager', value: 'https://hooks.example.org/s3cr3t/path' },
  { name: 'PIN', value: '48151' },
];
const forms = knownForms(known);
const secret = 'correct-horse-battery';

/** A line that holds a secret, and the secret. */
const planted: readonly [string, string, string][] = [
  ['an environment password', `POSTGRES_PASSWORD=${secret}`, secret],
  ['a password that nobody knows', 'DB_PASSWORD=Tr0ub4dor&3xyz', 'Tr0ub4dor&3xyz'],
  ['userinfo of a URL', 'connecting to postgresql://routing:Zx9-kk_unknown@postgres:5432/db', 'Zx9-kk_unknown'],
  ['a bearer token', 'Authorization: Bearer abcdef0123456789.ABCDEF', 'abcdef0123456789.ABCDEF'],
  ['a bearer token in JSON', '{"headers":{"authorization":"Bearer qwertyuiop123456"}}', 'qwertyuiop123456'],
  [
    'a web token',
    'got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJkZW1vIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ from',
    'eyJzdWIiOiJkZW1vIn0',
  ],
  ['a private key', pem('MIIUnknownKeyBodyAAAA0123456789\nSecondLineOfTheKey0123456789'), 'SecondLineOfTheKey'],
  [
    'a private key on one line',
    JSON.stringify({ key: pem('MIIUnknownKeyBodyBBBB0123456789') }),
    'MIIUnknownKeyBodyBBBB',
  ],
  ['an AWS key', 'using AKIAIOSFODNN7EXAMPLE for s3', 'AKIAIOSFODNN7EXAMPLE'],
  ['an AWS secret', 'AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCY', 'wJalrXUtnFEMI'],
  [
    'basic credentials',
    `proxy sent Basic ${Buffer.from('somebody:unknown-pass').toString('base64')}`,
    Buffer.from('somebody:unknown-pass').toString('base64'),
  ],
  [
    'basic credentials of a known password',
    Buffer.from(`routing:${secret}`).toString('base64'),
    Buffer.from(`routing:${secret}`).toString('base64').slice(12, -4),
  ],
  ['a cookie', 'Cookie: session=0f1e2d3c4b5a; theme=dark', '0f1e2d3c4b5a'],
  ['a cookie that is set', 'set-cookie: sid=zzzyyyxxx; HttpOnly', 'zzzyyyxxx'],
  ['the key of the backups', 'restic says 4F2K-9XQ7-AAAA-BBBB-CCCC-DDDD-EEEE-FFFF is wrong', '4F2K-9XQ7'],
  [
    'the key of an account',
    '{"kty":"EC","crv":"P-256","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}',
    '870MB6gfuTJ4HtUn',
  ],
  [
    'a webhook',
    'post https://hooks.slack.com/services/T0000AAAA/B0000BBBB/abcdefghijklmnopqrstuvwx failed',
    'abcdefghijklmnopqrstuvwx',
  ],
  ['a webhook of its own', 'post https://hooks.example.org/s3cr3t/path: 404', 's3cr3t'],
  ['the password of a directory service', `bind with ${known[1]?.value}`, 'odd&signs'],
  ['the same in JSON', JSON.stringify({ bind: known[1]?.value }), 'odd&signs'],
  ['the same in a URL', `ldap://x/?p=${encodeURIComponent(known[1]?.value ?? '')}`, encodeURIComponent('odd&signs')],
  [
    'the same in Base64',
    Buffer.from(known[1]?.value ?? '').toString('base64'),
    Buffer.from(known[1]?.value ?? '')
      .toString('base64')
      .slice(0, 20),
  ],
  [
    'the same in hexadecimal',
    Buffer.from(known[1]?.value ?? '').toString('hex'),
    Buffer.from('odd&signs').toString('hex'),
  ],
  ['a line of a known key', keyBody.split('\n')[1] ?? '', 'VJTUt9Us8cKj'],
  ['a short known value', 'pin 48151 refused', '48151'],
  ['a token of a provider', `pushed with ghp_${'a'.repeat(36)}`, `ghp_${'a'.repeat(10)}`],
  ['a command line', 'started with --api-key 0011223344556677', '0011223344556677'],
  ['YAML', 'jwt_secret: "a very long secret with blanks"', 'long secret'],
  ['a name that ends with pass', 'SMTP_PASS=Zq7vKx9TrUe4', 'Zq7vKx9TrUe4'],
  ['a key for tokens', 'JWT_KEY=Zq7vKx9TrUe4', 'Zq7vKx9TrUe4'],
  ['a line of an environment file with blanks and signs', 'DB_PASSWORD=a;b,c "d" Zq7vKx9TrUe4', 'Zq7vKx9TrUe4'],
  ['the same in the log of a container', '2026-01-01T00:00:00.5Z DB_PASSWORD=a;b Zq7vKx9TrUe4', 'Zq7vKx9TrUe4'],
  ['a value that begins like nothing', 'db_password=null-Zq7vKx9TrUe4', 'Zq7vKx9TrUe4'],
  ['a value that begins with stars', 'db_password: ***Zq7vKx9TrUe4', 'Zq7vKx9TrUe4'],
  ['bytes of Python', "connect(password=b'Zq7vKx9TrUe4')", 'Zq7vKx9TrUe4'],
  ['a quote in a quoted value', "password: 'it''s Zq7vKx9TrUe4'", 'Zq7vKx9TrUe4'],
  ['a list', '{"tokens":["Zq7vKx9TrUe4","b"]}', 'Zq7vKx9TrUe4'],
  ['an element of XML', '<password>Zq7vKx9TrUe4</password>', 'Zq7vKx9TrUe4'],
  ['a statement of SQL', "ALTER USER app WITH PASSWORD 'Zq7vKx9TrUe4';", 'Zq7vKx9TrUe4'],
  ['a setting of Redis', 'requirepass Zq7vKx9TrUe4', 'Zq7vKx9TrUe4'],
  ['a key in an escaped address', '/login?next=password%3DZq7vKx9TrUe4', 'Zq7vKx9TrUe4'],
  ['a signed address', 'GET /file?sv=2020&sig=Zq7vKx9TrUe4', 'Zq7vKx9TrUe4'],
  ['a password with @ in a URL', 'postgres://u:p@Zq7vKx9TrUe4@h/db', 'Zq7vKx9TrUe4'],
  ['a password with / in a URL', 'postgres://u:a/Zq7vKx9TrUe4@h/db', 'Zq7vKx9TrUe4'],
  ['a header of many parts', 'Authorization: AWS4 Credential=A/b, Signature=Zq7vKx9TrUe4', 'Zq7vKx9TrUe4'],
  ['a header with quotes', 'Authorization: Digest username="a", response="Zq7vKx9TrUe4"', 'Zq7vKx9TrUe4'],
  ['a header as a pair', "(b'authorization', b'Token Zq7vKx9TrUe4')", 'Zq7vKx9TrUe4'],
  ['a cookie as a pair', "(b'cookie', b'session=Zq7vKx9TrUe4')", 'Zq7vKx9TrUe4'],
  ['a cookie in a list', '"cookie":["a=Zq7vKx9TrUe4"]', 'Zq7vKx9TrUe4'],
  ['the token of a bot', `https://api.telegram.org/bot123456789:AA${'x'.repeat(33)}/getMe`, 'x'.repeat(33)],
  ['a known password in a form', new URLSearchParams({ a: 'p@ss"wörd\\with/odd&signs' }).toString(), 'odd%26signs'],
  [
    'a known password, its address in small letters',
    encodeURIComponent('p@ss"wörd\\with/odd&signs').toLowerCase(),
    'odd%26signs',
  ],
  ['a known password in HTML', 'p@ss&quot;wörd\\with/odd&amp;signs', 'odd&amp;signs'],
  ['a known password in the JSON of Go', '{"a":"p@ss\\"wörd\\\\with/odd\\u0026signs"}', 'odd\\u0026signs'],
  ['JSON in JSON', JSON.stringify(JSON.stringify({ clientSecret: 'abcdef998877' })), 'abcdef998877'],
];

describe('a planted secret', () => {
  it.each(planted)('%s is taken out, wherever the text is cut', (_, line, gone) => {
    const text = `before\n${line}\nafter\n`;
    expect(text).toContain(gone);
    for (const size of [1, 2, 3, 7, 16, 64, text.length]) {
      const redactor = new Redactor(forms);
      const lines = redactor.lines();
      let out = '';
      for (let at = 0; at < text.length; at += size) out += lines.take(text.slice(at, at + size));
      out += lines.end();
      expect(out).not.toContain(gone);
      expect(out).toMatch(/^before\n[\s\S]*\[redacted: [\s\S]*after\n$/);
      expect(Object.values(redactor.counts).reduce((sum, times) => sum + times, 0)).toBeGreaterThan(0);
    }
  });
  it('in Base64 is taken out at whatever place it begins', () => {
    for (let before = 0; before < 6; before += 1) {
      const encoded = Buffer.from(`${'x'.repeat(before)}${secret}${'y'.repeat(before)}`).toString('base64');
      const out = new Redactor(forms).text(encoded);
      expect(Buffer.from(out.replace(/\[redacted: [^\]]*\]/g, ''), 'base64').toString('latin1')).not.toContain('horse');
    }
  });
  it('that is a word of every text does not hide others', () => {
    const words = knownForms(['PASSWORD', 'Bearer', 'token', 'Cookie'].map((value) => ({ name: 'EXAMPLE', value })));
    const text = 'DB_PASSWORD=Zq7vKx9T; b\nX: Bearer Zq7vKx9T1\n{"token":"Zq7vKx9T"}\nCookie: a=Zq7vKx9T\nmy token\n';
    const out = new Redactor(words).text(text);
    expect(out).not.toContain('Zq7vKx9T');
    expect(out).toContain('my [redacted: EXAMPLE]');
  });
  it('is counted by its kind', () => {
    const redactor = new Redactor(forms);
    redactor.text(`${secret} ${secret}\nBearer 0123456789abcdef\n`);
    expect(redactor.counts).toEqual({ 'bearer token': 1, 'known: POSTGRES_PASSWORD': 2 });
  });
});

describe('what is no secret', () => {
  it.each([
    'GET /health 200 in 3 ms',
    'passwordFile: /etc/appliance/smtp.password',
    'the password was wrong',
    '{"secrets":{"names":["a"]},"token":null,"password":"***"}',
    'https://example.org/path?query=1#fragment',
    'basic authentication is not used',
    'sha256 4f2d0c7be1a1d9d3a1a6c7c2f0b3c0b5a0f4b1c2d3e4f5061728394a5b6c7d8e',
    'tokens 5 of 10',
    'BYPASS=1 of 2 passed',
    'GET http://backend:8000/health by team@example.org',
    '[{"id":"smoke.login","verdict":"pass","code":200}]',
    'the cookie, the authorization and the password are sent',
  ])('%s stays', (line) => {
    expect(new Redactor(forms).text(line)).toBe(line);
  });
});

describe('odd text', () => {
  it('of one endless line is cut, and no beginning of a secret is left at the cut', () => {
    const redactor = new Redactor(forms);
    const lines = redactor.lines();
    const out =
      lines.take(`${'x'.repeat(65_530)}correct-horse`) + lines.take('-battery and more\nnext\n') + lines.end();
    expect(out).not.toContain('correct');
    expect(out).toContain('[cut: a very long line]');
    expect(out.endsWith('next\n')).toBe(true);
  });
  it('with a key that never ends swallows no more than a key can be long', () => {
    const text = `${pem('x').split('\n')[0]}\n${'AAAA\n'.repeat(500)}the end\n`;
    expect(new Redactor(forms).text(text)).toContain('the end');
  });
  it.each([
    ['dots', 'a.'],
    ['hyphens', '-a'],
    ['options', '--'],
    ['names of schemes', 'a+'],
    ['names of secrets', 'token.'],
    ['quotes after them', 'token"'],
    ['schemes', 'a://'],
    ['beginnings of keys', '-----BEGIN PRIVATE KEY'],
    ['credentials', 'basic '],
    ['cookies', 'cookie '],
    ['blanks', 'password          '],
  ])('of many %s on one line takes no time that grows with its square', (_, piece) => {
    const line = piece.repeat(64_000 / piece.length);
    const began = performance.now();
    new Redactor(forms).text(`${line}\n`);
    // A search that begins anew at every character takes 5 to 60 s.
    expect(performance.now() - began).toBeLessThan(3_000);
  });
  it('of megabytes is done in reasonable time', () => {
    const many = knownForms(
      Array.from({ length: 60 }, (_, index) => ({
        name: `S${index}`,
        value: `value-of-secret-${index}-${'z'.repeat(12)}`,
      })),
    );
    const text =
      '{"time":"2026-01-01T00:00:00Z","level":"info","path":"/api/routing/predict","status":200,"seconds":0.012}\n'.repeat(
        40_000,
      );
    const began = performance.now();
    expect(new Redactor(many).text(text)).toBe(text);
    expect(performance.now() - began).toBeLessThan(15_000);
  });
});
