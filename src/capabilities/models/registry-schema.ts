import type { Migrations } from '../../host/sqlite.ts';

/**
 * Tables of `registry.db`. The promotion history and approvals are append-only: who was production when is never
 * rewritten. At most one version of a model is in production; an index sees to it.
 */
export const registryMigrations: Migrations = {
  module: 'models',
  scripts: [
    `CREATE TABLE models (
       id INTEGER PRIMARY KEY,
       name TEXT NOT NULL UNIQUE
     ) STRICT;
     CREATE TABLE versions (
       id INTEGER PRIMARY KEY,
       model INTEGER NOT NULL REFERENCES models (id),
       version TEXT NOT NULL,
       sha256 TEXT NOT NULL,
       content TEXT NOT NULL,
       files INTEGER NOT NULL,
       bytes INTEGER NOT NULL,
       state TEXT NOT NULL DEFAULT 'registered' CHECK (state IN ('registered', 'validated', 'production', 'archived')),
       metadata TEXT NOT NULL,
       source TEXT NOT NULL,
       actor TEXT NOT NULL,
       created_at INTEGER NOT NULL,
       promoted_at INTEGER,
       UNIQUE (model, version)
     ) STRICT;
     CREATE UNIQUE INDEX versions_one_in_production ON versions (model) WHERE state = 'production';
     CREATE INDEX versions_of_model ON versions (model, id);
     CREATE INDEX versions_by_state ON versions (state, id);
     CREATE INDEX versions_by_label ON versions (version);
     CREATE TABLE artefacts (
       version INTEGER NOT NULL REFERENCES versions (id),
       path TEXT NOT NULL,
       sha256 TEXT NOT NULL,
       bytes INTEGER NOT NULL,
       PRIMARY KEY (version, path)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE metrics (
       version INTEGER NOT NULL REFERENCES versions (id),
       name TEXT NOT NULL,
       value REAL NOT NULL,
       PRIMARY KEY (version, name)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE aliases (
       model INTEGER NOT NULL REFERENCES models (id),
       alias TEXT NOT NULL,
       version INTEGER NOT NULL REFERENCES versions (id),
       PRIMARY KEY (model, alias)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX aliases_of_version ON aliases (version);
     CREATE INDEX aliases_by_name ON aliases (alias);
     CREATE TABLE history (
       seq INTEGER PRIMARY KEY,
       model INTEGER NOT NULL REFERENCES models (id),
       version INTEGER NOT NULL REFERENCES versions (id),
       event TEXT NOT NULL,
       replaced INTEGER REFERENCES versions (id),
       at INTEGER NOT NULL,
       actor TEXT NOT NULL,
       operation TEXT,
       reason TEXT
     ) STRICT;
     CREATE INDEX history_of_model ON history (model, seq);
     CREATE INDEX history_of_version ON history (version, seq);
     CREATE TRIGGER history_is_append_only_1 BEFORE UPDATE ON history BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
     CREATE TRIGGER history_is_append_only_2 BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
     CREATE TABLE approvals (
       seq INTEGER PRIMARY KEY,
       version INTEGER NOT NULL REFERENCES versions (id),
       role TEXT NOT NULL,
       actor TEXT NOT NULL,
       at INTEGER NOT NULL,
       comment TEXT
     ) STRICT;
     CREATE INDEX approvals_of_version ON approvals (version, seq);
     CREATE TRIGGER approvals_are_append_only_1 BEFORE UPDATE ON approvals BEGIN SELECT RAISE(ABORT, 'approvals are append-only'); END;
     CREATE TRIGGER approvals_are_append_only_2 BEFORE DELETE ON approvals BEGIN SELECT RAISE(ABORT, 'approvals are append-only'); END;
     CREATE TABLE reports (
       seq INTEGER PRIMARY KEY,
       version INTEGER NOT NULL REFERENCES versions (id),
       verdict TEXT NOT NULL,
       at INTEGER NOT NULL,
       report TEXT NOT NULL
     ) STRICT;
     CREATE INDEX reports_of_version ON reports (version, seq);
     CREATE TABLE intents (
       name TEXT NOT NULL,
       version TEXT NOT NULL,
       at INTEGER NOT NULL,
       PRIMARY KEY (name, version)
     ) STRICT, WITHOUT ROWID;`,
  ],
};
