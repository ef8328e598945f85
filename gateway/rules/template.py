"""Message templates: checked, immutable objects that render transitions into notifications."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from gateway.errors import RenderError, TemplateError
from gateway.format import Format
from gateway.rules.escape import one_line, plain_text
from gateway.rules.reads import NO_READS, may_read, reads_of
from gateway.rules.schema import READERS, STR, roots
from gateway.rules.scope import Scope
from gateway.rules.statements import Statements, Writer
from gateway.rules.template_parts import Body, Part, Source, bodies, in_place
from gateway.rules.values import MissingKey
from gateway.transition import Kind, Transition, text_of

MAX_TITLE = 250
MAX_FALLBACK = 2_000
CACHED = 16_384


@dataclass(frozen=True, slots=True)
class Rendered:
    """A notification's text. The title is one line of plain text in every format; the message is in ``format``."""

    title: str
    message: str
    format: Format = "text"


@dataclass(frozen=True, slots=True)
class MessageTemplate:
    """A checked template. Immutable, safe to share between threads; pickles as its source.

    Attributes:
        source: what it was made of.
        untyped: how many keys of untyped data it uses, which could not be checked.
        reads: what it reads that a source may have to fetch.
    """

    source: Source
    untyped: int = field(compare=False)
    reads: frozenset[str] = field(compare=False)
    _title: Writer = field(repr=False, compare=False)
    _message: Writer = field(repr=False, compare=False)

    def render(self, transition: Transition, format: Format = "text") -> Rendered:
        """The title and message for a transition. Where the message comes out blank, the title is the message.

        Raises:
            RenderError: the template failed on this transition. The error tells where and why, and holds no data.
        """
        title = one_line(_written(self._title, self._scope(transition, "text"), "title"))[:MAX_TITLE]
        message = _written(self._message, self._scope(transition, format), "message").strip()
        if not message:
            return Rendered(title, title or self.source.handler or "(empty)")
        return Rendered(title, message, format)

    def dry_run(self, samples: Iterable[Transition]) -> list[tuple[Transition, RenderError]]:
        """The samples on which the template fails, and how.

        A key that a sample's data lacks is no failure: samples do not know the keys of real results.
        """
        failures = []
        for sample in samples:
            try:
                self.render(sample)
            except RenderError as error:
                if not isinstance(error.__cause__, MissingKey):
                    failures.append((sample, error))
        return failures

    def _scope(self, transition: Transition, format: Format) -> Scope:
        variables = _root_reader(self.source.on)(transition)
        variables["handler"] = self.source.handler
        return Scope(variables, format, transition.occurred_at)

    def __reduce__(self) -> tuple[Callable[[Source], MessageTemplate], tuple[Source]]:
        return _compiled, (self.source,)


def compile_template(
    *,
    title: str | None = None,
    message: str | None = None,
    file: str | None = None,
    on: Kind | None = None,
    handler: str = "",
) -> MessageTemplate:
    """Check and compile a template.

    Args:
        title: source of the title.
        message: source of the message.
        file: text of a template file: blocks ``title`` and ``message``, or without blocks all message.
        on: what the handler is for; ``task`` is out of scope for flows.
        handler: the handler's name, for the template to show.

    Raises:
        TemplateError: the first problem; its ``part`` says which argument it is in, its ``others`` are the rest.
    """
    return _compiled(Source(title, message, file, on, handler))


def fallback(transition: Transition, handler: str, error: Exception) -> Rendered:
    """Plain text in place of a template that failed, with the reason: no message is lost to a template.

    Args:
        transition: what happened.
        handler: the name of the handler whose template failed.
        error: how it failed; only a :class:`RenderError` is told in its own words.
    """
    obj, state = transition.obj, transition.state
    name, reached, said = text_of(obj.name) or obj.kind, text_of(state.name), text_of(state.message)
    reason = str(error) if isinstance(error, RenderError) else type(error).__name__
    told = [
        f"{obj.kind} {name} is {reached}" + (f": {said}" if said else ""),
        text_of(obj.url),
        f"(The template of handler {handler!r} failed: {reason}. This is plain text instead.)",
    ]
    message = "\n".join(plain_text(_shortened(text)) for text in told if text)
    return Rendered(one_line(plain_text(f"{name}: {reached}"))[:MAX_TITLE], message)


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_FALLBACK else text[:MAX_FALLBACK] + "…"


def _written(write: Writer, scope: Scope, part: str) -> str:
    try:
        write(scope)
    except RenderError as error:
        raise RenderError(f"{part} {error}") from error.__cause__
    except Exception as error:
        raise RenderError(f"{part}: {type(error).__name__}") from None
    return "".join(scope.parts)


@cache
def _root_reader(on: Kind | None) -> Callable[[Transition], dict[str, Any]]:
    items = ", ".join(f"{name!r}: {root.read}" for name, root in roots(on).items())
    read: Callable[[Transition], dict[str, Any]] = eval(f"lambda e: {{{items}}}", {**READERS, "__builtins__": {}})
    return read


@lru_cache(CACHED)
def _compiled(source: Source) -> MessageTemplate:
    """Equal sources share one template, so that a reload compiles only what was edited."""
    problems: list[TemplateError] = []
    parts = bodies(source, problems)
    title, untyped_title = _writer(parts["title"], source.on, problems)
    message, untyped_message = _writer(parts["message"], source.on, problems)
    if problems:
        problems[0].others = tuple(problems[1:])
        raise problems[0]
    return MessageTemplate(source, untyped_title + untyped_message, _reads(source, parts), title, message)


def _reads(source: Source, parts: Mapping[Part, Body]) -> frozenset[str]:
    if not any(map(may_read, (source.title, source.message, source.file))):  # the defaults do not
        return NO_READS
    return reads_of(node for body in parts.values() for node in body.statements)


def _writer(body: Body, on: Kind | None, problems: list[TemplateError]) -> tuple[Writer, int]:
    """What writes a part, and how many untyped keys it uses."""
    statements = Statements({**{name: root.ty for name, root in roots(on).items()}, "handler": STR})
    writer = statements.writer(body.statements)
    problems += [in_place(problem, body.place) for problem in statements.problems]
    return writer, statements.evaluator.untyped
