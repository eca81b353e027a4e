"""Items, predictions and training runs; the starting catalogue."""

import csv
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CATALOGUE = Path("/app/routing_model/items.csv")


def upgrade() -> None:
    op.execute("CREATE TABLE schema_info (version integer NOT NULL, readable_from integer NOT NULL)")
    op.execute("INSERT INTO schema_info VALUES (1, 1)")
    items = op.create_table(
        "items",
        sa.Column("item_code", sa.Text, primary_key=True),
        sa.Column("material", sa.Text),
        sa.Column("shape", sa.Text),
        sa.Column("surface", sa.Text),
        sa.Column("length_mm", sa.Double),
        sa.Column("width_mm", sa.Double),
        sa.Column("weight_kg", sa.Double),
        sa.Column("tolerance_um", sa.Double),
        sa.Column("batch_size", sa.Double),
        sa.Column("route", sa.Text),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
    )
    op.execute("""
        CREATE TABLE ml_predictions (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          item_code text NOT NULL,
          route text NOT NULL,
          confidence double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
          release text NOT NULL,
          model_sha256 text NOT NULL,
          requested_by text NOT NULL,
          created_at timestamptz NOT NULL DEFAULT now()
        )""")
    op.execute("CREATE INDEX ml_predictions_created_at ON ml_predictions (created_at)")
    op.execute("""
        CREATE TABLE ml_training_logs (
          run_id text PRIMARY KEY,
          requested_by text NOT NULL,
          release text NOT NULL,
          state text NOT NULL,
          detail text,
          metrics jsonb,
          started_at timestamptz NOT NULL,
          finished_at timestamptz
        )""")
    with CATALOGUE.open(encoding="utf-8", newline="") as file:
        rows = [
            {key: value if key in ("item_code", "material", "shape", "surface", "route") else float(value)
             for key, value in row.items()}
            for row in csv.DictReader(file)
        ]
    op.bulk_insert(items, rows)


def downgrade() -> None:
    for table in ("ml_training_logs", "ml_predictions", "items", "schema_info"):
        op.drop_table(table)
