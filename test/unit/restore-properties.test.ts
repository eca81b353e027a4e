import { describe, expect, it } from 'vitest';
import { propertiesOf } from '../../src/capabilities/backups/restore-properties.ts';

// What `pg_restore --create` writes about a database (PostgreSQL 17).
const sql = `--
-- PostgreSQL database dump
--

SET statement_timeout = 0;
CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C.UTF-8';

ALTER DATABASE shop OWNER TO keeper;

\\unrestrict abc
\\connect shop

SET statement_timeout = 0;
COMMENT ON DATABASE shop IS 'it''s ours;
GRANT ALL ON DATABASE shop TO eve;';

ALTER DATABASE shop CONNECTION LIMIT = 40;
ALTER DATABASE shop IS_TEMPLATE = true;
ALTER DATABASE shop SET TABLESPACE fast;
ALTER DATABASE shop SET search_path TO 'app', 'public';
ALTER ROLE "Read Only" IN DATABASE shop SET work_mem TO '4MB';

REVOKE CONNECT,TEMPORARY ON DATABASE shop FROM PUBLIC;
GRANT CONNECT ON DATABASE shop TO "Read Only";
GRANT SELECT ON TABLE public.orders TO "Read Only";
`;

describe('what a dump says of its database', () => {
  it('is said of the one that was loaded: owner, comment, settings and rights; nothing of the machine', () => {
    expect(propertiesOf(sql, 'shop__restore"1')).toEqual([
      'ALTER DATABASE "shop__restore""1" OWNER TO keeper;',
      `COMMENT ON DATABASE "shop__restore""1" IS 'it''s ours;\nGRANT ALL ON DATABASE shop TO eve;';`,
      'ALTER DATABASE "shop__restore""1" CONNECTION LIMIT = 40;',
      `ALTER DATABASE "shop__restore""1" SET search_path TO 'app', 'public';`,
      `ALTER ROLE "Read Only" IN DATABASE "shop__restore""1" SET work_mem TO '4MB';`,
      'REVOKE CONNECT,TEMPORARY ON DATABASE "shop__restore""1" FROM PUBLIC;',
      'GRANT CONNECT ON DATABASE "shop__restore""1" TO "Read Only";',
    ]);
  });

  it('works with names that must be quoted, and with a dump that says nothing', () => {
    expect(propertiesOf('ALTER DATABASE "my ""shop" SET x TO 1;', 'b')).toEqual(['ALTER DATABASE "b" SET x TO 1;']);
    expect(propertiesOf('', 'b')).toEqual([]);
  });
});
