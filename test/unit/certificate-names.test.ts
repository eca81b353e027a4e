import { describe, expect, test } from 'vitest';
import { covers, normaliseNames } from '../../src/config/certificate-names.ts';

const rules = { challenge: 'http-01' } as const;

describe('names of a certificate', () => {
  test('are written as the certificate bears them: lower case, Punycode, each once', () => {
    expect(normaliseNames(['Shop.Example', 'bücher.example', 'xn--bcher-kva.example', 'shop.example.'], rules)).toEqual(
      ['shop.example', 'xn--bcher-kva.example'],
    );
  });

  test.each([
    ['a wildcard with HTTP-01', ['*.shop.example'], /HTTP-01 cannot prove/],
    ['an IPv4 address', ['192.0.2.1'], /IP address/],
    ['an IPv6 address', ['[2001:db8::1]'], /IP address/],
    ['an address in disguise', ['0x7f.1'], /no host name/],
    ['101 names', Array.from({ length: 101 }, (_, index) => `n${index}.example`), /101 names are more than the 100/],
    ['no name', [], /needs a name/],
    ['a space', ['shop example'], /no host name/],
    ['a path', ['shop.example/admin'], /no host name/],
    ['an underscore', ['_acme.shop.example'], /no host name/],
    ['a label that is too long', [`${'a'.repeat(64)}.example`], /no host name/],
    ['a name that is too long', [`${'a.'.repeat(127)}example`], /no host name/],
    ['an empty label', ['shop..example'], /no host name/],
    ['a dash at the edge', ['-shop.example'], /no host name/],
    ['a wildcard inside', ['shop.*.example'], /no host name/],
  ])('%s is refused before an attempt is spent', (_, names, message) => {
    expect(() => normaliseNames(names, rules)).toThrow(
      expect.objectContaining({
        code: 'certificate_invalid',
        message: expect.stringMatching(message),
        left: 'no attempt was spent',
      }),
    );
  });

  test('a wildcard is fine with DNS-01, but not for a whole top-level domain', () => {
    expect(normaliseNames(['*.Shop.example'], { challenge: 'dns-01' })).toEqual(['*.shop.example']);
    expect(() => normaliseNames(['*.example'], { challenge: 'dns-01' })).toThrow(/whole top-level domain/);
  });

  test('an address is fine under a profile, and where no authority is asked', () => {
    expect(normaliseNames(['192.0.2.1'], { ...rules, addresses: true })).toEqual(['192.0.2.1']);
    expect(normaliseNames(['127.0.0.1', 'localhost'], { challenge: undefined })).toEqual(['127.0.0.1', 'localhost']);
  });

  test('100 names are fine', () => {
    const names = Array.from({ length: 100 }, (_, index) => `n${index}.example`);
    expect(normaliseNames(names, rules)).toEqual(names);
  });

  test('a wildcard covers one label', () => {
    expect(covers(['*.shop.example'], 'www.shop.example')).toBe(true);
    expect(covers(['*.shop.example'], 'a.b.shop.example')).toBe(false);
    expect(covers(['*.shop.example'], 'shop.example')).toBe(false);
  });
});
