"""Compiling: what one table says of another is checked, and what did not change is used again."""

from __future__ import annotations

import pytest

from gateway.compile import Compiled, Ruleset, compile_ruleset
from gateway.config.loader import load
from gateway.config.sources import Sources, read_sources
from gateway.states import Failed, Running
from gateway.transition import Obj, Transition

BOX = '[channel.box]\nurl = "record://box"\n'
TOLD = '[[handler]]\nname = "told"\nto = "box"\n'


def compiled(text: str, previous: Ruleset | None = None, **templates: str) -> Compiled:
    named = {f"{name}.md.j2": source for name, source in templates.items()}
    return compile_ruleset(load(Sources("config", {"config/a.toml": text}, named)), previous)


def told(text: str, severity: str = "error", **templates: str) -> list[str]:
    problems = compiled(text, **templates).problems
    return [str(problem) for problem in problems if problem.severity == severity]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOX + TOLD.replace('"box"', '"bax"'), "5:6: handler.told.to: there is no channel 'bax' (did you mean 'box'?)"),
        (BOX + TOLD + '[channel.all]\nall = ["box", "bx"]', "there is no channel 'bx'"),
        (BOX + TOLD + '[channel.a]\nall = ["b"]\n[channel.b]\nall = ["a"]', "this group contains itself"),
        (BOX + TOLD + '[channel.a]\nurl = "record://a"\nfallback = "bx"', "there is no channel 'bx'"),
        (BOX + TOLD + '[channel.a]\nurl = "record://a"\nfallback = "a"', "lead back to this channel"),
        (BOX + TOLD + '[channel.g]\nall = "box"\n[channel.a]\nurl = "record://a"\nfallback = "g"', "is a group"),
        (BOX + TOLD + '[gateway]\nops = "bx"', "there is no channel 'bx'"),
        (BOX + TOLD + '[gateway]\nheartbeat = "ftp://h/x"', "gateway.heartbeat: must begin with http:// or https://"),
        (BOX + TOLD + '[gateway]\nheartbeat = "http://"', "gateway.heartbeat: must begin with http:// or https://"),
        (
            BOX + TOLD + '[gateway]\nheartbeat = { env = "SURELY_NOT_SET" }',
            "gateway.heartbeat: the environment variable",
        ),
        (BOX + TOLD + '[gateway]\nheartbeat = { file = "lost" }', "gateway.heartbeat: the file"),
        (BOX + TOLD + 'template = "lost.md.j2"', "there is no template of this name"),
        (BOX + TOLD + 'template = "kown.md.j2"', "did you mean 'known.md.j2'"),
        (BOX + TOLD + 'when = "state is faild"', "6:18: handler.told.when: unknown test 'faild'"),
        (BOX + TOLD + 'title = "{{ flow.nam }}"', "handler.told.title: "),
        (BOX + TOLD + 'message = """\n{{ flow.name }}\n{{ flow.nam }}"""', ":8:"),
        (BOX + TOLD + '[channel.x]\nurl = "slak://a"', "channel.x.url: "),
        (BOX + TOLD + '[channel.x]\nurl = { env = "SURELY_NOT_SET" }', "SURELY_NOT_SET"),
    ],
    ids=lambda value: value[-40:],
)
def test_a_wrong_reference_is_an_error_at_its_place(text: str, said: str) -> None:
    assert any(said in problem for problem in told(text, known="x")), told(text, known="x")


def test_a_wrong_template_file_is_an_error_at_its_line() -> None:
    problems = told(BOX + TOLD + 'template = "bad.md.j2"', bad="{# fine #}\n{{ flow.nam }}")

    assert len(problems) == 1
    assert problems[0].startswith("templates/bad.md.j2:2:")


def test_a_channel_nobody_sends_to_is_a_warning() -> None:
    assert told(BOX + TOLD + '[channel.idle]\nurl = "record://x"', "warning") == [
        "config/a.toml:6:1: channel.idle: nobody sends to this channel: no handler, group, fallback or 'ops' names it"
    ]


def test_channels_reached_through_groups_and_fallbacks_are_used() -> None:
    text = TOLD.replace('"box"', '"all"') + (
        '[channel.all]\nall = ["one"]\n[channel.one]\nurl = "record://1"\nfallback = "two"\n'
        '[channel.two]\nurl = "record://2"\n'
    )

    assert told(text, "warning") == []


def test_a_file_that_cannot_be_parsed_hides_no_channel() -> None:
    sources = Sources("config", {"config/a.toml": TOLD, "config/b.toml": "[[channel\n"})

    problems = compile_ruleset(load(sources)).problems

    assert len(problems) == 1


def test_groups_open_up_and_each_channel_is_told_once() -> None:
    text = (
        BOX
        + TOLD.replace('"box"', '["all", "box"]')
        + '[channel.all]\nall = ["more", "box"]\n[channel.more]\nall = "box"'
    )

    ruleset = compiled(text).ruleset

    assert ruleset is not None
    assert ruleset.handlers[0].channels == ("box",)


def test_what_did_not_change_is_used_again() -> None:
    more = '[[handler]]\nname = "more"\nto = "box"\nmessage = "{}"\n'
    before = compiled(BOX + TOLD + more.format("one")).ruleset

    after = compiled(BOX + TOLD + more.format("two"), before).ruleset

    assert before is not None
    assert after is not None
    assert after.handlers[0] is before.handlers[0]
    assert after.handlers[1] is not before.handlers[1]
    assert after.destinations["box"] is before.destinations["box"]
    assert after.index is before.index


def test_a_new_policy_keeps_the_channel_and_a_new_format_does_not() -> None:
    before = compiled(BOX + TOLD).ruleset
    assert before is not None

    calmer = compiled(BOX + 'rate = "1/1m"\n' + TOLD, before).ruleset
    marked = compiled(BOX + 'format = "markdown"\n' + TOLD, before).ruleset

    assert calmer is not None
    assert marked is not None
    assert calmer.destinations["box"].channel is before.destinations["box"].channel
    assert calmer.destinations["box"].written.rate is not None
    assert marked.destinations["box"].channel is not before.destinations["box"].channel


def test_a_handler_that_is_off_is_checked_and_never_asked() -> None:
    ruleset = compiled(BOX + TOLD + 'mode = "off"\n').ruleset
    transition = Transition.of(Obj("task", "load"), Running(), Failed())

    assert ruleset is not None
    assert ruleset.match(transition) == []
    assert told(BOX + TOLD + 'mode = "off"\nwhen = "nonsense"')


def test_a_check_that_raises_is_reported_by_handler() -> None:
    ruleset = compiled(BOX + TOLD + 'when = "state.result.n > 3"\n').ruleset
    errors: list[tuple[object, Exception]] = []

    assert ruleset is not None
    ruleset.match(Transition.of(Obj("task", "load"), None, Failed(result={"n": "x"})), errors)

    assert [(handler.name, type(error)) for handler, error in errors] == [("told", TypeError)]


def test_a_heartbeat_has_its_secret_filled_in_and_shows_it_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAT", "https://hc.example.org/5ecret")
    text = BOX + TOLD + '[gateway]\nheartbeat = { env = "BEAT" }\nheartbeat_every = "30s"'

    ruleset = compiled(text).ruleset

    assert ruleset is not None
    assert ruleset.pulse is not None
    assert (ruleset.pulse.address, ruleset.pulse.every.total_seconds()) == ("https://hc.example.org/5ecret", 30)
    assert "5ecret" not in repr(ruleset)


def test_a_heartbeat_whose_secret_is_no_web_address_is_refused_without_showing_it(monkeypatch) -> None:
    monkeypatch.setenv("BEAT", "hc.example.org/5ecret")

    problems = told(BOX + TOLD + '[gateway]\nheartbeat = { env = "BEAT" }')

    assert len(problems) == 1
    assert "gateway.heartbeat: the address must begin with http:// or https://" in problems[0]
    assert "5ecret" not in problems[0]


def test_the_file_of_a_heartbeat_is_watched() -> None:
    loaded = load(Sources("config", {"config/a.toml": BOX + TOLD + '[gateway]\nheartbeat = { file = "secrets/beat" }'}))

    assert {file.rpartition("/")[2] for file in loaded.secret_files} == {"beat"}


def test_the_same_texts_have_the_same_hash_wherever_they_lie() -> None:
    def hash_of(root: str, text: str, **templates: str) -> str:
        return Sources(root, {f"{root}/a.toml": text}, templates).hash

    assert hash_of("config", TOLD) == hash_of("/etc/gateway", TOLD)
    assert len({hash_of("config", TOLD), hash_of("config", BOX), hash_of("config", TOLD, a="x")}) == 3


# a Prefect server to follow


def test_a_prefect_server_is_compiled_with_its_secrets_and_shows_none_of_them(compiled_source, monkeypatch) -> None:
    monkeypatch.setenv("SOME_PASSWORD", "admin:hidden")
    server = compiled_source(
        'api = "http://prefect.example.org:4200/api/"\nauth = { env = "SOME_PASSWORD" }'
    ).ruleset.prefect

    assert (server.auth, server.ui) == ("admin:hidden", "http://prefect.example.org:4200")
    assert server.shown == "http://prefect.example.org:4200/api"
    assert "hidden" not in repr(server)


def test_user_and_password_can_stand_in_the_address_of_a_prefect_server_and_leave_it(compiled_source) -> None:
    server = compiled_source(
        'api = "http://who:h%40dden@prefect.example.org:4200/api/"\nui = "http://who:h%40dden@pages.example.org"'
    ).ruleset.prefect

    assert server.auth == "who:h@dden"
    assert (server.api, server.ui) == ("http://prefect.example.org:4200/api", "http://pages.example.org")


def test_the_pages_of_prefect_cloud_are_known(compiled_source) -> None:
    api = "https://api.prefect.cloud/api/accounts/a-1/workspaces/w-1"
    server = compiled_source(f'api = "{api}"\nkey = "pnu_1"').ruleset.prefect

    assert server.ui == "https://app.prefect.cloud/account/a-1/workspace/w-1"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ('auth = { env = "NO_SUCH_VARIABLE" }', "auth: the environment variable 'NO_SUCH_VARIABLE' is not set"),
        ('auth = "password"', "auth: must be user and password as 'user:password'"),
        ('api = "http://prefect:port/api"', "api: must be an address such as http://prefect.example.org:4200/api"),
        ('api = { env = "PREFECT_WITHOUT_SCHEME" }', "api: must be an address such as"),
        ('api = "http://prefect:4200/api?x=1"', "api: must be an address such as"),
        ('api = "http://a:b@prefect:4200/api"\nauth = "a:b"', "api: has user and password, and so has 'auth' or 'key'"),
        ('api = "http://a:b@prefect:4200/api"\nkey = "k"', "api: has user and password, and so has 'auth' or 'key'"),
        ('key = "k"\nauth = "a:b"', "give either 'auth' (a server) or 'key' (Prefect Cloud), not both"),
    ],
)
def test_what_keeps_a_prefect_server_from_being_followed_is_said_at_load(compiled_source, monkeypatch, keys, says):
    monkeypatch.setenv("PREFECT_WITHOUT_SCHEME", "prefect:4200")

    compiled = compiled_source(keys)

    assert compiled.ruleset is None
    assert says in "\n".join(map(str, compiled.problems))


def test_without_its_extra_the_problem_says_what_to_install(compiled_source, monkeypatch) -> None:
    monkeypatch.setattr("gateway.compile.find_spec", lambda name: None)

    (problem,) = [one for one in compiled_source("").problems if one.severity == "error"]

    assert "needs packages that are not installed: pip install httpx websockets" in str(problem)


@pytest.fixture
def compiled_source(tmp_path):
    def compiled(keys: str):
        folder = tmp_path / "config"
        folder.mkdir(exist_ok=True)
        (folder / "gateway.toml").write_text(f'[channel.box]\nurl = "console://"\n[source.prefect]\n{keys}\n')
        return compile_ruleset(load(read_sources(folder)[0]))

    return compiled
