"""The loader: from the texts of all files to one checked configuration and every problem of it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.document import Document, Documents
from gateway.config.merged import Merged
from gateway.config.models import ChannelConfig, Config
from gateway.config.outline import KeyPath
from gateway.config.secrets import files_of
from gateway.config.source import Problem, ProblemSeverity
from gateway.config.sources import Sources
from gateway.config.url import Url
from gateway.config.validation import Validated, validate


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of loading ``sources``.

    Attributes:
        sources: what was loaded.
        config: the configuration; ``None`` if any problem is an error.
        sound: all that has no error of its own, for further checks of the rest; never to be run.
        problems: every problem found, by place.
        complete: every file could be parsed, so that a name not found is truly missing.
    """

    sources: Sources
    config: Config | None
    sound: Config
    problems: tuple[Problem, ...]
    complete: bool
    _merged: Merged

    def problem(
        self,
        severity: ProblemSeverity,
        path: KeyPath,
        message: str,
        hint: str | None = None,
        *,
        inside: tuple[int, int] | None = None,
    ) -> Problem:
        """A problem about a key that the caller found, placed at its nearest parent if the key is left out.

        Args:
            severity: how bad it is.
            path: such as ``("handler", "load-failed", "when")``, ``("handler", 3, "to", 1)`` (positions over all
                files) or ``("channel", "mail", "url")``.
            message: what is wrong, and what would be right.
            hint: a replacement to suggest.
            inside: line and column, from 1, in the text that ``path`` holds.
        """
        return self._merged.problem(severity, path, message, hint, inside=inside)

    def template_problem(self, name: str, line: int, column: int, message: str, hint: str | None = None) -> Problem:
        """An error at a line and column, from 1, of the template file ``name``."""
        return Problem("error", f"{self.sources.template_folder}/{name}", line, column, "", message, hint)

    @property
    def channel_names(self) -> frozenset[str]:
        """The names of all channels and groups that are declared, those with errors included."""
        return frozenset(self._merged.tables.get("channel", ()))

    def declares(self, table: str) -> bool:
        """Whether a file that could be parsed has the table ``table``, such as ``"store"``, right or wrong."""
        return table in self._merged.tables

    @property
    def secret_files(self) -> frozenset[str]:
        """Files whose text is part of an address, there or not: an edit of one changes the configuration."""
        sound = self.sound
        urls: list[Url] = [sound.store.url]
        urls += [url for url in (sound.gateway.heartbeat, sound.server.token, sound.server.signature) if url]
        urls += [channel.url for channel in sound.channels.values() if isinstance(channel, ChannelConfig)]
        if (prefect := sound.source.prefect) is not None:
            urls += [url for url in (prefect.api, prefect.auth, prefect.key, prefect.ui) if url]
        return frozenset(str(file) for url in urls for file in files_of(url, self.sources.base))


def load(sources: Sources, documents: Documents | None = None) -> Loaded:
    """Check the configuration that ``sources`` hold.

    Args:
        sources: the texts.
        documents: parsed files of earlier loads; what did not change is not parsed again.
    """
    documents = Documents() if documents is None else documents
    parsed = [documents.read(path, text) for path, text in sources.files.items()]
    documents.keep(sources.files)
    merged = Merged(parsed)
    validated = validate(merged.tables)
    problems = _problems(parsed, merged, validated)
    complete = all(document.problem is None for document in parsed)
    config = None if any(problem.severity == "error" for problem in problems) else validated.sound
    return Loaded(sources, config, validated.sound, problems, complete, merged)


def _problems(parsed: list[Document], merged: Merged, validated: Validated) -> tuple[Problem, ...]:
    """All problems, in the order of files and places."""
    problems = [document.problem for document in parsed if document.problem] + merged.problems
    for found in validated.complaints:
        problems.append(
            merged.problem(
                "error", found.path, found.message, found.hint, about_key=found.about_key, inside=found.inside
            )
        )
    if parsed and not problems and not validated.sound.handlers:
        problems.append(
            Problem("warning", parsed[0].source.path, 0, 0, "", "no [[handler]] anywhere: nobody will be told anything")
        )
    order = {document.source.path: number for number, document in enumerate(parsed)}
    return tuple(sorted(problems, key=lambda problem: (order[problem.file], problem.line, problem.column)))
