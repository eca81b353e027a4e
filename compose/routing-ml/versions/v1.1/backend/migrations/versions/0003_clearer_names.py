"""Clearer names. Releases before this one read the old names and cannot work with the new ones."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE items RENAME COLUMN material TO material_grade")
    op.execute("ALTER TABLE ml_predictions RENAME COLUMN confidence TO probability")
    op.execute("UPDATE schema_info SET version = 3, readable_from = 3")


def downgrade() -> None:
    op.execute("ALTER TABLE ml_predictions RENAME COLUMN probability TO confidence")
    op.execute("ALTER TABLE items RENAME COLUMN material_grade TO material")
    op.execute("UPDATE schema_info SET version = 2, readable_from = 1")
