import { describe, expect, it } from 'vitest';
import { edgeAddress } from '../../src/agent/edge-address.ts';

describe('where the edge answers', () => {
  const configured = { http: '127.0.0.1:8080', https: '8443' };
  const published = (http: string[], https: string[]) => ({ published: { '80/tcp': http, '443/tcp': https } });

  it('as configured: every way to write all addresses is the same', () => {
    expect(edgeAddress(configured, published(['127.0.0.1:8080'], ['0.0.0.0:8443', '[::]:8443']))).toEqual({
      http: '127.0.0.1:8080',
      https: '127.0.0.1:8443',
      findings: [],
    });
  });

  it('as configured, while no edge runs', () => {
    expect(edgeAddress(configured, undefined).findings).toEqual([]);
    expect(edgeAddress(configured, published([], [])).http).toBe('127.0.0.1:8080');
  });

  it('where it is published, when the configuration says otherwise', () => {
    const seen = edgeAddress(configured, published(['0.0.0.0:8080'], ['192.0.2.1:9443']));
    expect(seen).toMatchObject({ http: '127.0.0.1:8080', https: '192.0.2.1:9443' });
    expect(seen.findings.map(({ observed, expected }) => [observed, expected])).toEqual([
      ['the edge is published at 192.0.2.1:9443 (edge.https)', '127.0.0.1:8443'],
    ]);
    const other = edgeAddress({ ...configured, http: '[::1]:80' }, published(['[::1]:81'], ['0.0.0.0:8443']));
    expect(other.http).toBe('[::1]:81');
  });
});
