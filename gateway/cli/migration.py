"""The command migrate: brings the tables of a store up to date."""

from __future__ import annotations

from gateway.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from gateway.cli.output import print_json, say
from gateway.cli.stored import migrated
from gateway.store.migration import Migration


def migrate(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Bring the store's tables up to date after an update.

    A SQLite store is also brought up to date by the first gateway that opens it. A PostgreSQL store, which other
    gateways may be using, only by this command: end them before, and start the new ones after. What is
    in the store stays. All of it is one transaction, and it does nothing when there is nothing to do.
    """
    migration = migrated(config)
    if as_json:
        print_json(migration)
    else:
        say(_in_words(migration), "green")


def _in_words(migration: Migration) -> str:
    match migration:
        case Migration(before=None):
            return f"Made the tables of the store, version {migration.after}."
        case Migration(before=before) if before == migration.after:
            return f"Nothing to do: the tables of the store are of version {before} already."
    steps = "".join(f"\n  {step}" for step in migration.steps)
    return f"Brought the tables of the store from version {migration.before} to {migration.after}:{steps}"
