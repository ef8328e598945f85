"""Explain: what a ruleset would do with a transition, or with samples of all kinds, and why. Sends nothing."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.compile import Handler, Ruleset
from gateway.config.source import Problem
from gateway.errors import RenderError
from gateway.format import Format, Severity
from gateway.rules.samples import sample_transitions
from gateway.rules.template import fallback
from gateway.transition import Transition


@dataclass(frozen=True, slots=True)
class WouldSend:
    """One message that would be sent."""

    channel: str
    format: Format
    title: str
    message: str
    severity: Severity
    error: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one handler would do.

    Attributes:
        handler: its name.
        fires: whether it would tell anybody.
        why: the reason, in words.
        messages: what would be sent, to whom.
        failed: its check raised; it counts as not matching.
    """

    handler: str
    fires: bool
    why: str
    messages: tuple[WouldSend, ...] = ()
    failed: bool = False


def explain(ruleset: Ruleset, transition: Transition) -> list[Explanation]:
    """What every handler of ``ruleset`` would do with ``transition``, in order."""
    explanations: list[Explanation] = []
    stopped_by: str | None = None
    for handler in ruleset.handlers:
        explanations.append(_explain(ruleset, handler, transition, stopped_by))
        if handler.written.stop and explanations[-1].fires and stopped_by is None:
            stopped_by = handler.name
    live = {handler.name for handler in ruleset.handlers}
    off = [written.name for written in ruleset.config.handlers if written.name not in live]
    return explanations + [Explanation(name, False, "it is off") for name in off]


def rehearse(ruleset: Ruleset) -> list[Problem]:
    """Warnings of templates that pass every check and yet fail on a sample of the transitions they are for."""
    return [problem for handler in ruleset.handlers for problem in _rehearse(ruleset, handler)]


def _rehearse(ruleset: Ruleset, handler: Handler) -> list[Problem]:
    samples = [sample for sample in sample_transitions(handler.written.on) if _holds(handler, sample)]
    failures = handler.template.dry_run(samples)
    if not failures:
        return []
    sample, error = failures[0]
    message = f"its template fails when a {sample.kind} is {sample.state.type}: {error}; a plain text would be sent"
    return [ruleset.loaded.problem("warning", ("handler", handler.name), message)]


def _holds(handler: Handler, transition: Transition) -> bool:
    try:
        return handler.check.holds(transition)
    except Exception:  # what a check raises on made-up data says nothing
        return False


def _explain(ruleset: Ruleset, handler: Handler, transition: Transition, stopped_by: str | None) -> Explanation:
    if stopped_by is not None:
        return Explanation(handler.name, False, f"not asked: {stopped_by!r} matched and has stop = true")
    try:
        if not handler.check.holds(transition):
            return Explanation(handler.name, False, _why_not(handler, transition))
    except Exception as error:
        return Explanation(handler.name, False, f"its check raised {type(error).__name__}: {error}", failed=True)
    why = "matches; recorded only (shadow)" if handler.written.mode == "shadow" else "matches"
    messages = tuple(_message(ruleset, handler, name, transition) for name in handler.channels)
    return Explanation(handler.name, True, why, messages)


def _why_not(handler: Handler, transition: Transition) -> str:
    """The first condition that does not hold."""
    for text, check in handler.check.conditions():
        try:
            if not check.holds(transition):
                return f"false: {text}"
        except Exception as error:
            return f"{type(error).__name__}: {error}, in: {text}"
    return "does not match"


def _message(ruleset: Ruleset, handler: Handler, channel: str, transition: Transition) -> WouldSend:
    format = ruleset.format_of(channel)
    severity = handler.severity(transition)
    try:
        rendered = handler.render(transition, format)
        return WouldSend(channel, rendered.format, rendered.title, rendered.message, severity)
    except RenderError as error:
        rendered = fallback(transition, handler.name, error)
        return WouldSend(channel, rendered.format, rendered.title, rendered.message, severity, str(error))
