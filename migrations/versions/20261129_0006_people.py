"""Users own the tokens; projects may be private and have members; audit names the access.

Each token becomes a user of the same id, name and role with that one token, so that whatever
named the token names the user. Of several tokens of one name the oldest one in force keeps the
name; the others become "name (2)" and so on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NAMED_BY_TOKEN = (
    ("runs", "created_by"),
    ("reports", "created_by"),
    ("factors", "entered_by"),
    ("prices", "entered_by"),
    ("carbon_series", "entered_by"),
)
APPEND_ONLY = ("factors", "prices", "carbon_series")

USERS_OF_TOKENS = """
INSERT INTO users (id, name, role, disabled_at, created_at)
VALUES (:id, :name, :role, :disabled_at, :created_at)
"""

PROJECTS_OF_REPORTS = """
INSERT INTO report_projects (report_id, project_id)
SELECT DISTINCT reports.id, runs.project_id
FROM reports
CROSS JOIN LATERAL jsonb_path_query(context, '$.runs[*].run_id') AS named
JOIN runs ON runs.id::text = named #>> '{}'
"""

# Whoever writes to these tables without the service's own code leaves a trace as well.
WATCH = """
CREATE FUNCTION pricetag_watch_people() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    former jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - 'secret_sha256' END;
    present jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - 'secret_sha256' END;
BEGIN
    IF current_setting('pricetag.audited', true) IS DISTINCT FROM 'on' THEN
        INSERT INTO audit_log (at, actor, access, os_user, action, object_kind, object_id,
            before, after)
        VALUES (now(), 'database', 'direct-database', NULL,
            CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'changed'
                ELSE 'deleted' END,
            rtrim(TG_TABLE_NAME, 's'), coalesce(present, former) ->> 'id', former,
            coalesce(present, '{}') || jsonb_build_object('database_session', jsonb_build_object(
                'user', session_user, 'address', host(inet_client_addr()),
                'application', current_setting('application_name'))));
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER watched AFTER INSERT OR DELETE OR UPDATE
    OF id, user_id, name, role, project_id, secret_sha256, expires_at, revoked_at ON tokens
    FOR EACH ROW EXECUTE FUNCTION pricetag_watch_people();
CREATE TRIGGER watched AFTER INSERT OR DELETE OR UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION pricetag_watch_people();
"""


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=True),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "role in ('ingest', 'viewer', 'member', 'admin')", name=op.f("ck_users_role")
        ),
        sa.CheckConstraint(
            "(issuer IS NULL) = (subject IS NULL)", name=op.f("ck_users_external_identity")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_users_issuer_subject")),
    )
    op.create_index(op.f("ix_users_created_at"), "users", ["created_at"])
    _make_users()
    _give_tokens_to_users()
    _name_users()
    _open_projects()
    _name_access_in_the_audit_log()
    op.execute(WATCH)


def _make_users() -> None:
    bind = op.get_bind()
    tokens = bind.execute(
        sa.text(
            "SELECT id, name, role, revoked_at, created_at FROM tokens"
            " ORDER BY revoked_at IS NOT NULL, created_at, id"
        )
    ).all()
    names = {token.name for token in tokens}
    used: set[str] = set()
    for token in tokens:
        name, number = token.name, 1
        while name in used or (number > 1 and name in names):
            number += 1
            name = f"{token.name} ({number})"
        used.add(name)
        bind.execute(
            sa.text(USERS_OF_TOKENS),
            {
                "id": token.id,
                "name": name,
                "role": token.role,
                "disabled_at": token.revoked_at,
                "created_at": token.created_at,
            },
        )


def _give_tokens_to_users() -> None:
    op.drop_constraint(op.f("ck_tokens_role"), "tokens", type_="check")
    op.alter_column("tokens", "role", existing_type=sa.String(), nullable=True)
    op.add_column("tokens", sa.Column("user_id", sa.Uuid(), nullable=True))
    op.add_column("tokens", sa.Column("project_id", sa.Uuid(), nullable=True))
    op.add_column("tokens", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE tokens SET user_id = id")
    op.alter_column("tokens", "user_id", existing_type=sa.Uuid(), nullable=False)
    op.create_check_constraint(
        op.f("ck_tokens_role"), "tokens", "role in ('ingest', 'viewer', 'member', 'admin')"
    )
    op.create_foreign_key(op.f("fk_tokens_user_id_users"), "tokens", "users", ["user_id"], ["id"])
    op.create_foreign_key(
        op.f("fk_tokens_project_id_projects"), "tokens", "projects", ["project_id"], ["id"]
    )
    op.create_index(op.f("ix_tokens_user_id"), "tokens", ["user_id"])


def _name_users() -> None:
    for table, column in NAMED_BY_TOKEN:
        op.drop_constraint(op.f(f"fk_{table}_{column}_tokens"), table, type_="foreignkey")
        op.create_foreign_key(
            op.f(f"fk_{table}_{column}_users"), table, "users", [column], ["id"]
        )
    op.add_column("runs", sa.Column("token_id", sa.Uuid(), nullable=True))
    op.execute("UPDATE runs SET token_id = created_by WHERE created_by IS NOT NULL")
    op.create_foreign_key(op.f("fk_runs_token_id_tokens"), "runs", "tokens", ["token_id"], ["id"])
    for table in ("spend", "idempotency_keys"):
        op.drop_constraint(op.f(f"fk_{table}_token_id_tokens"), table, type_="foreignkey")
        op.alter_column(table, "token_id", new_column_name="user_id")
        op.create_foreign_key(
            op.f(f"fk_{table}_user_id_users"), table, "users", ["user_id"], ["id"]
        )
    op.execute("ALTER INDEX ix_spend_token_id_at RENAME TO ix_spend_user_id_at")


def _open_projects() -> None:
    op.add_column(
        "projects", sa.Column("visibility", sa.String(), nullable=False, server_default="open")
    )
    op.alter_column("projects", "visibility", server_default=None)
    op.create_check_constraint(
        op.f("ck_projects_visibility"), "projects", "visibility in ('open', 'private')"
    )
    op.create_table(
        "project_members",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("role in ('member', 'owner')", name=op.f("ck_project_members_role")),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name=op.f("fk_project_members_project_id_projects"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_project_members_user_id_users")
        ),
        sa.PrimaryKeyConstraint("project_id", "user_id", name=op.f("pk_project_members")),
    )
    op.create_index(op.f("ix_project_members_user_id"), "project_members", ["user_id"])
    op.create_index(op.f("ix_project_members_created_at"), "project_members", ["created_at"])
    op.create_table(
        "report_projects",
        sa.Column("report_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["report_id"],
            ["reports.id"],
            name=op.f("fk_report_projects_report_id_reports"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_report_projects_project_id_projects")
        ),
        sa.PrimaryKeyConstraint("report_id", "project_id", name=op.f("pk_report_projects")),
    )
    op.create_index(op.f("ix_report_projects_project_id"), "report_projects", ["project_id"])
    op.execute(PROJECTS_OF_REPORTS)


def _name_access_in_the_audit_log() -> None:
    op.add_column("audit_log", sa.Column("user_id", sa.Uuid(), nullable=True))
    op.add_column("audit_log", sa.Column("access", sa.String(), nullable=True))
    op.add_column("audit_log", sa.Column("os_user", sa.String(), nullable=True))
    # The new columns of entries that are there already: the one time that they are written to.
    op.execute("ALTER TABLE audit_log DISABLE TRIGGER append_only")
    op.execute(
        "UPDATE audit_log SET user_id = token_id,"
        " access = CASE WHEN token_id IS NULL THEN 'service' ELSE 'token' END"
    )
    op.execute("ALTER TABLE audit_log ENABLE TRIGGER append_only")
    op.alter_column("audit_log", "access", existing_type=sa.String(), nullable=False)
    op.create_foreign_key(
        op.f("fk_audit_log_user_id_users"), "audit_log", "users", ["user_id"], ["id"]
    )


def downgrade() -> None:
    """Back to tokens that stand for themselves.

    What a token could not do before must not come back as more: tokens that have expired, are of
    a disabled user, of one project or of the role `ingest` are revoked. Private projects are open
    again.
    """
    op.execute("DROP TRIGGER watched ON tokens")
    op.execute("DROP TRIGGER watched ON users")
    op.execute("DROP FUNCTION pricetag_watch_people()")
    op.execute("ALTER TABLE audit_log DROP COLUMN user_id, DROP COLUMN access, DROP COLUMN os_user")
    op.drop_table("report_projects")
    op.drop_table("project_members")
    op.execute("ALTER TABLE projects DROP COLUMN visibility")
    # A user is the token of its own id where there is one, else its first token.
    op.execute(
        "CREATE TEMPORARY TABLE token_of_user ON COMMIT DROP AS"
        " SELECT DISTINCT ON (user_id) user_id, id FROM tokens"
        " ORDER BY user_id, id <> user_id, created_at, id"
    )
    for table in ("spend", "idempotency_keys"):
        op.drop_constraint(op.f(f"fk_{table}_user_id_users"), table, type_="foreignkey")
        op.alter_column(table, "user_id", new_column_name="token_id")
    op.execute("ALTER INDEX ix_spend_user_id_at RENAME TO ix_spend_token_id_at")
    for table in APPEND_ONLY:
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
    for table, column in NAMED_BY_TOKEN:
        op.drop_constraint(op.f(f"fk_{table}_{column}_users"), table, type_="foreignkey")
    op.execute("DELETE FROM idempotency_keys WHERE token_id NOT IN (SELECT user_id FROM token_of_user)")
    renamed = (*NAMED_BY_TOKEN, ("spend", "token_id"), ("idempotency_keys", "token_id"))
    for table, column in renamed:
        op.execute(
            f"UPDATE {table} SET {column} ="
            f" (SELECT id FROM token_of_user WHERE user_id = {table}.{column})"
            f" WHERE {column} IS NOT NULL AND NOT EXISTS"
            f" (SELECT FROM token_of_user AS t WHERE t.user_id = {table}.{column}"
            f" AND t.id = {table}.{column})"
        )
        op.create_foreign_key(
            op.f(f"fk_{table}_{column}_tokens"), table, "tokens", [column], ["id"]
        )
    for table in APPEND_ONLY:
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER append_only")
    op.execute(
        "UPDATE budgets SET scope_id = t.id FROM token_of_user AS t"
        " WHERE scope = 'user' AND scope_id = t.user_id"
    )
    op.execute("ALTER TABLE runs DROP COLUMN token_id")
    op.execute(
        "UPDATE tokens SET revoked_at = coalesce(revoked_at, now()) FROM users"
        " WHERE users.id = user_id AND (tokens.project_id IS NOT NULL OR expires_at <= now()"
        " OR users.disabled_at IS NOT NULL OR 'ingest' IN (users.role, tokens.role))"
    )
    op.drop_constraint(op.f("ck_tokens_role"), "tokens", type_="check")
    op.execute(
        "UPDATE tokens SET role = (ARRAY['viewer', 'viewer', 'member', 'admin'])[least("
        " array_position(ranks, coalesce(tokens.role, users.role)::text),"
        " array_position(ranks, users.role::text))]"
        " FROM users, (SELECT ARRAY['ingest', 'viewer', 'member', 'admin'] AS ranks) AS known"
        " WHERE users.id = user_id"
    )
    op.execute(
        "ALTER TABLE tokens DROP COLUMN user_id, DROP COLUMN project_id, DROP COLUMN expires_at"
    )
    op.alter_column("tokens", "role", existing_type=sa.String(), nullable=False)
    op.create_check_constraint(
        op.f("ck_tokens_role"), "tokens", "role in ('viewer', 'member', 'admin')"
    )
    op.drop_table("users")
