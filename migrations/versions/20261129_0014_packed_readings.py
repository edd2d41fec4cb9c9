"""Blocks of packed readings; earlier readings are packed by the server, or by a command."""

from __future__ import annotations

from alembic import op

from models.packed.codec import decode
from models.packed.columns import FLOATS

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What is deflated already is not compressed again.
    op.execute(
        """
        CREATE TABLE IF NOT EXISTS reading_blocks (
            attempt_id uuid NOT NULL CONSTRAINT fk_reading_blocks_attempt_id_attempts
                REFERENCES attempts (id) ON DELETE CASCADE,
            component varchar NOT NULL,
            first_seq integer NOT NULL,
            last_seq integer NOT NULL,
            steps integer NOT NULL,
            last_t_s double precision NOT NULL,
            is_settled boolean NOT NULL,
            sha256 bytea NOT NULL,
            content bytea STORAGE EXTERNAL NOT NULL,
            level_8 bytea STORAGE EXTERNAL,
            level_64 bytea,
            level_512 bytea,
            level_4096 bytea,
            CONSTRAINT pk_reading_blocks PRIMARY KEY (attempt_id, component, first_seq)
        )
        """
    )


def downgrade() -> None:
    """Writes all packed readings as rows again."""
    driver = op.get_bind().connection.driver_connection
    keys = driver.execute(
        "SELECT attempt_id, component, first_seq FROM reading_blocks ORDER BY 1, 2, 3"
    ).fetchall()
    for attempt_id, component, first_seq in keys:
        content, sha256 = driver.execute(
            "SELECT content, sha256 FROM reading_blocks"
            " WHERE attempt_id = %s AND component = %s AND first_seq = %s",
            [attempt_id, component, first_seq],
        ).fetchone()
        columns = decode(content, sha256)
        own = columns[int((columns.seq < first_seq).sum()) :]
        with driver.cursor() as cursor, cursor.copy(
            f"COPY readings (attempt_id, component, seq, flags, {', '.join(FLOATS)}) FROM STDIN"
        ) as copy:
            for seq, place, *values in zip(
                own.seq.tolist(),
                own.flag_index.tolist(),
                *(column.tolist() for column in own.floats),
                strict=True,
            ):
                copy.write_row((attempt_id, component, seq, own.flag_sets[place], *values))
    op.execute("DROP TABLE reading_blocks")
