import { describe, expect, test } from 'vitest';
import { dynamicRange, hostAddress, parseRange } from '../../src/capabilities/stack/addresses.ts';
import { chooseSubnets, parseRoutes } from '../../src/capabilities/stack/index.ts';
import { ApplianceError } from '../../src/lib/errors.ts';

describe('chooseSubnets', () => {
  test('takes the first two of an empty pool', () => {
    expect(chooseSubnets('10.213.0.0/16', [])).toEqual({ blue: '10.213.0.0/24', green: '10.213.1.0/24' });
  });

  test('keeps what was chosen before, whatever came since', () => {
    const chosen = { blue: '10.9.0.0/24', green: '10.9.1.0/24' };
    expect(chooseSubnets('10.213.0.0/16', [{ range: '10.0.0.0/8', by: 'vpn' }], chosen)).toBe(chosen);
  });

  test('goes around routes and networks, larger and smaller than a /24', () => {
    const taken = [
      { range: '10.213.0.128/25', by: 'network other' },
      { range: '10.213.2.0/23', by: 'route via tun0' },
      { range: '10.213.5.7/32', by: 'route via wg0' },
      { range: 'fd00::/64', by: 'network v6' },
      { range: '192.168.0.0/16', by: 'route via eth0' },
    ];
    expect(chooseSubnets('10.213.0.0/16', taken)).toEqual({ blue: '10.213.1.0/24', green: '10.213.4.0/24' });
  });

  test('says what is in the way when nothing is left', () => {
    const taken = [{ range: '10.0.0.0/8', by: 'route via tun0' }];
    const attempt = () => chooseSubnets('10.213.0.0/16', taken);
    expect(attempt).toThrow('no two /24 networks are free in 10.213.0.0/16; in the way: 10.0.0.0/8 (route via tun0)');
    try {
      attempt();
    } catch (error) {
      expect(error instanceof ApplianceError && error.code).toBe('subnet_exhausted');
    }
  });

  test('one free network is not enough', () => {
    expect(() => chooseSubnets('10.213.0.0/23', [{ range: '10.213.1.0/24', by: 'x' }])).toThrow(
      'in the way: 10.213.1.0/24',
    );
  });
});

test('parseRoutes reads the table of the kernel and leaves the default route out', () => {
  const table = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
wg0\t0705D50A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
`;
  expect(parseRoutes(table)).toEqual([
    { range: '172.17.0.0/16', by: 'route via docker0' },
    { range: '10.213.5.7/32', by: 'route via wg0' },
  ]);
  expect(parseRoutes('')).toEqual([]);
});

describe('addresses', () => {
  test('hosts of a network', () => {
    expect(hostAddress('10.213.255.0/24', 127)).toBe('10.213.255.127');
    expect(dynamicRange('10.213.4.0/24')).toBe('10.213.4.128/25');
    expect(() => hostAddress('10.213.0.0/16', 1)).toThrow('not an IPv4 /24');
  });

  test('ranges begin at their network address', () => {
    expect(parseRange('10.213.7.9/16')).toMatchObject({ first: 0x0ad50000, last: 0x0ad5ffff });
    expect(parseRange('255.255.255.255/32')).toMatchObject({ first: 0xffffffff, last: 0xffffffff });
    for (const bad of ['10.0.0.0', '10.0.0.0/33', '10.0.0.256/24', 'fd00::/8', ''])
      expect(parseRange(bad)).toBeUndefined();
  });
});
