"""Migration: brings the tables of an older gateway up to date, in one transaction.

The revisions are alembic's, the version of the tables stands in the table ``about``. Alembic is imported only
when there is something to change: it would cost every start a fifth of a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from sqlalchemy import Connection, text, update

from gateway.store import dialects, schema
from gateway.store.schema import SCHEMA_VERSION

REVISIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Migration:
    """What was done to the tables of a store.

    Attributes:
        before: their version; ``None`` when there were none, and they were made.
        after: their version now.
        steps: what each revision was about.
    """

    before: int | None
    after: int = SCHEMA_VERSION
    steps: tuple[str, ...] = ()


def migrate(connection: Connection) -> Migration:
    """Make the tables if there are none, and change those of an older version. The schema is locked.

    Raises:
        StoreError: they are of a newer gateway, or of another program.
    """
    version = schema.version_of(connection)
    steps = upgrade(connection, version) if version is not None and version < SCHEMA_VERSION else ()
    schema.prepare(connection, token_hex(4))
    return Migration(version, steps=steps)


def upgrade(connection: Connection, version: int, to: int = SCHEMA_VERSION) -> tuple[str, ...]:
    """Run the revisions after ``version``; what each was about."""
    from alembic.migration import MigrationContext  # expensive, and rarely needed
    from alembic.operations import Operations
    from alembic.script import ScriptDirectory

    if dialects.is_shared(connection):  # it may take as long as it needs
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    scripts = ScriptDirectory(str(REVISIONS))
    due = [one for one in scripts.walk_revisions() if version < int(one.revision) <= to]
    with Operations.context(MigrationContext.configure(connection)):
        for one in reversed(due):
            one.module.upgrade()
    connection.execute(update(schema.about).values(schema_version=to))
    return tuple(one.doc for one in reversed(due))
