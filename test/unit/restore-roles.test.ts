import { describe, expect, it } from 'vitest';
import { missingRoles } from '../../src/capabilities/backups/restore-roles.ts';

// S4-38, S4-39: what a dump names as owner or grants to must be there before pg_restore comes to it.
const dump = `--
-- PostgreSQL database cluster dump
--

\\restrict aB3

SET default_transaction_read_only = off;
SET client_encoding = 'UTF8';

--
-- Roles
--

CREATE ROLE app;
ALTER ROLE app WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS PASSWORD 'SCRAM-SHA-256$4096:old';
CREATE ROLE reporting;
ALTER ROLE reporting WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS PASSWORD 'SCRAM-SHA-256$4096:x;y''z';
COMMENT ON ROLE reporting IS 'reads;
DROP TABLE orders;
CREATE ROLE hidden;';
CREATE ROLE "Weird ""Name";
ALTER ROLE "Weird ""Name" WITH NOLOGIN;

--
-- User Configurations
--

ALTER ROLE app SET work_mem TO '64MB';
ALTER ROLE reporting SET search_path TO 'public';

--
-- Role memberships
--

GRANT pg_monitor TO app WITH INHERIT TRUE GRANTED BY app;
GRANT pg_monitor TO reporting WITH INHERIT TRUE GRANTED BY app;
GRANT "Weird ""Name" TO app WITH INHERIT TRUE GRANTED BY app;

CREATE TABLESPACE fast OWNER reporting LOCATION '/disk';

\\unrestrict aB3
`;

describe('accounts of a snapshot', () => {
  it('are made where they are missing, and those of today keep their passwords and rights', () => {
    const { made, statements } = missingRoles(dump, new Set(['app', 'pg_monitor']));
    expect(made).toEqual(['reporting', '"Weird ""Name"']);
    expect(statements.join('\n')).toMatchInlineSnapshot(`
      "CREATE ROLE reporting;
      ALTER ROLE reporting WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS PASSWORD 'SCRAM-SHA-256$4096:x;y''z';
      COMMENT ON ROLE reporting IS 'reads;
      DROP TABLE orders;
      CREATE ROLE hidden;';
      CREATE ROLE "Weird ""Name";
      ALTER ROLE "Weird ""Name" WITH NOLOGIN;
      ALTER ROLE reporting SET search_path TO 'public';
      GRANT pg_monitor TO reporting WITH INHERIT TRUE GRANTED BY app;
      GRANT "Weird ""Name" TO app WITH INHERIT TRUE GRANTED BY app;"
    `);
  });

  it('are nothing to do where all of them are there', () => {
    expect(missingRoles(dump, new Set(['app', 'reporting', '"Weird ""Name"', 'pg_monitor']))).toEqual({
      made: [],
      statements: [],
    });
  });
});
