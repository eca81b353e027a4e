"""Predictions keep their latency. The column may be empty, so releases that do not know it go on writing."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE ml_predictions ADD COLUMN latency_ms double precision CHECK (latency_ms >= 0)")
    op.execute("UPDATE schema_info SET version = 2, readable_from = 1")


def downgrade() -> None:
    op.execute("ALTER TABLE ml_predictions DROP COLUMN latency_ms")
    op.execute("UPDATE schema_info SET version = 1, readable_from = 1")
