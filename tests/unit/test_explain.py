"""Explaining: for every handler, whether it fires and why not."""

from __future__ import annotations

from gateway.compile import compile_ruleset
from gateway.config.loader import load
from gateway.config.sources import Sources
from gateway.explain import Explanation, explain, rehearse
from gateway.states import Failed, Running
from gateway.transition import Obj, Transition

CHANNELS = '[channel.chat]\nurl = "record://chat"\nformat = "markdown"\n[channel.mail]\nurl = "record://mail"\n'


def explained(handlers: str, connect: bool = True) -> list[Explanation]:
    compiled = compile_ruleset(load(Sources("config", {"a.toml": CHANNELS + handlers})), connect=connect)
    assert compiled.ruleset is not None, compiled.problems
    transition = Transition.of(Obj("task", "load_*", flow=Obj("flow", "etl")), Running(), Failed("boom", {"n": "text"}))
    return explain(compiled.ruleset, transition)


def test_the_first_condition_that_does_not_hold_is_the_reason() -> None:
    told = explained('[[handler]]\nname = "a"\nwhen = "state is failed and flow.name == \'web\'"\nto = "chat"\n')

    assert [(one.fires, one.why) for one in told] == [(False, "false: flow.name == 'web'")]


def test_sugar_and_kind_are_reasons_too() -> None:
    told = explained(
        '[[handler]]\nname = "a"\nflow = "web-*"\nto = "chat"\n[[handler]]\nname = "b"\non = "flow"\nto = "chat"\n'
    )

    assert [one.why for one in told] == ["false: flow = web-*", 'false: on = "flow"']


def test_a_condition_that_raises_is_told() -> None:
    told = explained('[[handler]]\nname = "a"\nwhen = "state.result.n > 3"\nto = "chat"\n')

    assert told[0].fires is False
    assert "raised TypeError" in told[0].why


def test_what_would_be_sent_is_rendered_for_each_channel() -> None:
    told = explained('[[handler]]\nname = "a"\nto = ["chat", "mail"]\nmessage = "{{ task.name }}"\n')

    assert [(one.channel, one.format) for one in told[0].messages] == [("chat", "markdown"), ("mail", "text")]
    assert told[0].messages[1].message == "load_*"
    assert told[0].messages[0].message != "load_*"


def test_handlers_behind_stop_and_those_that_are_off_are_told() -> None:
    told = explained(
        '[[handler]]\nname = "a"\nto = "chat"\nstop = true\n[[handler]]\nname = "b"\nto = "chat"\n'
        '[[handler]]\nname = "c"\nto = "chat"\nmode = "off"\n'
    )

    assert [one.why for one in told] == ["matches", "not asked: 'a' matched and has stop = true", "it is off"]


def test_nothing_needs_to_be_connected_to_explain() -> None:
    handlers = '[channel.far]\nurl = { env = "SURELY_NOT_SET" }\n[[handler]]\nname = "a"\nto = "far"\nmode = "shadow"\n'

    told = explained(handlers, connect=False)

    assert [(one.fires, one.why) for one in told] == [(True, "matches; recorded only (shadow)")]


def test_a_template_that_fails_on_a_sample_is_a_warning() -> None:
    handlers = (
        '[[handler]]\nname = "good"\nto = "chat"\nmessage = "{{ state.message }}"\n'
        '[[handler]]\nname = "bad"\nto = "chat"\nwhen = "state is failed"\nmessage = "{{ 9 // state.run_count }}"\n'
    )
    compiled = compile_ruleset(load(Sources("config", {"a.toml": CHANNELS + handlers})))
    assert compiled.ruleset is not None

    problems = rehearse(compiled.ruleset)

    assert [(problem.severity, problem.key) for problem in problems] == [("warning", "handler.bad")]
    assert "is Failed" in problems[0].message
