from __future__ import annotations

import pytest

from gateway import Flow, Parameter, Task, signals, states, task, triggers


@task
def succeed(value=None):
    return value


@task
def fail():
    raise ValueError("odd")


@task
def skip():
    raise signals.SKIP("not today")


@task
def cancel():
    raise signals.ENDRUN(states.Cancelled("enough"))


def test_a_flow_prints_its_name():
    assert str(Flow("nightly load")) == repr(Flow("nightly load")) == "<Flow: name=nightly load>"


@pytest.mark.parametrize("name", ["", None])
def test_a_flow_needs_a_name(name):
    with pytest.raises(ValueError, match="name"):
        Flow(name)


def test_tasks_are_kept_in_the_order_they_joined_and_once():
    first, second = Task("first"), Task("second")

    flow = Flow("f", tasks=[first, second, first])

    assert flow.tasks == (first, second)


def test_only_tasks_join():
    with pytest.raises(TypeError, match="takes tasks, not 'load'"):
        Flow("f", tasks=["load"])


def test_two_parameters_of_one_name_are_refused():
    flow = Flow("f", tasks=[Parameter("day")])

    with pytest.raises(ValueError, match="already has a parameter 'day'"):
        flow.add_task(Parameter("day"))


def test_blocks_nest_and_the_inner_flow_gets_the_tasks():
    with Flow("outer") as outer:
        with Flow("inner") as inner:
            one = succeed()
        two = succeed()
        with outer:
            three = succeed()

    assert (inner.tasks, outer.tasks) == ((one,), (two, three))


def test_a_block_left_by_an_error_is_closed():
    with pytest.raises(KeyError), Flow("f"):
        raise KeyError
    with pytest.raises(ValueError, match="joins a flow"):
        succeed()


def test_all_ways_to_say_an_edge_say_the_same():
    a, b, c, d = (Task(name) for name in "abcd")
    flow = Flow("f")
    flow.add_edge(a, b)
    flow.set_upstream(c, b)
    flow.set_downstream(c, d)

    assert flow.sorted_tasks() == (a, b, c, d)
    assert flow.upstream_tasks(c) == (b,)
    assert flow.downstream_tasks(c) == (d,)


def test_tasks_run_after_those_they_need_and_otherwise_in_the_order_they_joined():
    order = []
    note = task(lambda name, *_: order.append(name), name="note")
    with Flow("f") as flow:
        last = note("last")
        first = note("first")
        note("second", first)
        last.set_upstream(first)

    flow.run()

    assert order == ["first", "last", "second"]
    assert flow.sorted_tasks() == flow.sorted_tasks()


def test_upstream_tasks_run_before_and_pass_nothing():
    with Flow("f") as flow:
        last = succeed(7, upstream_tasks=[succeed(), succeed()])

    assert len(flow.upstream_tasks(last)) == 2
    assert flow.run().result[last].result == 7


@pytest.mark.parametrize(
    ("edges", "cycle"), [("aa", "a > a"), ("ab ba", "b > a > b|a > b > a"), ("ab bc ce bd da", "a > b > d > a")]
)
def test_a_cycle_is_refused_by_name_where_it_would_close(edges, cycle):
    tasks = {name: Task(name) for name in "abcde"}
    *before, last = edges.split()
    flow = Flow("f")
    for upstream, downstream in before:
        flow.add_edge(tasks[upstream], tasks[downstream])

    with pytest.raises(ValueError, match=f"<Flow: name=f> would have a cycle: ({cycle})$"):
        flow.add_edge(tasks[last[0]], tasks[last[1]])
    assert len(flow.sorted_tasks()) == len(flow.tasks)


def test_a_long_chain_is_built_and_run():
    with Flow("f") as flow:
        link = succeed(0)
        for _ in range(2000):
            link = succeed(link)

    assert flow.run().result[link].result == 0


@pytest.mark.parametrize(
    ("tasks", "kind", "message"),
    [
        ([], states.Success, "All reference tasks succeeded."),
        ([succeed, succeed], states.Success, "All reference tasks succeeded."),
        ([succeed, skip], states.Success, "All reference tasks succeeded."),
        ([succeed, fail], states.Failed, "Some reference tasks failed."),
        ([cancel, fail], states.Failed, "Some reference tasks failed."),
        ([cancel, succeed], states.Success, "No reference tasks failed."),
    ],
)
def test_the_reference_tasks_decide_how_the_flow_ends(tasks, kind, message):
    state = Flow("f", tasks=tasks).run()

    assert (type(state), state.message) == (kind, message)
    assert set(state.result) == set(tasks)


def test_the_reference_tasks_are_those_with_none_after_them_unless_set():
    with Flow("f") as flow:
        broken = fail()
        rescue = Task("rescue", trigger=triggers.any_failed)(upstream_tasks=[broken])

    assert flow.reference_tasks() == (rescue,)
    assert flow.run().is_successful()

    flow.set_reference_tasks([broken])
    assert flow.reference_tasks() == (broken,)
    assert flow.run().is_failed()

    flow.set_reference_tasks([])
    assert flow.reference_tasks() == (rescue,)


def test_a_reference_task_is_a_task_of_the_flow():
    with pytest.raises(ValueError, match="has no <Task: stranger>"):
        Flow("f").set_reference_tasks([Task("stranger")])


@pytest.fixture
def with_parameters():
    flow = Flow("f")
    flow.needed, flow.optional = Parameter("needed"), Parameter("optional", default="o")
    flow.add_task(flow.needed)
    flow.add_task(flow.optional)
    return flow


def test_parameters_are_given_by_name_or_as_a_mapping(with_parameters):
    for state in (with_parameters.run(needed=1), with_parameters.run({"needed": 1}), with_parameters.run({}, needed=1)):
        assert state.result[with_parameters.needed].result == 1
        assert state.result[with_parameters.optional].result == "o"


def test_a_missing_parameter_is_an_error_before_anything_runs(with_parameters):
    with pytest.raises(ValueError, match="<Flow: name=f> needs the parameter 'needed'"):
        with_parameters.run()


def test_an_unknown_parameter_is_an_error_that_names_the_known_ones(with_parameters):
    with pytest.raises(TypeError, match="has no parameter 'neded'; it has 'needed', 'optional'"):
        with_parameters.run(neded=1)
    with pytest.raises(TypeError, match="it has none"):
        Flow("g").run(x=1)


def test_a_flow_can_run_again():
    flow = Flow("f", tasks=[succeed])

    assert flow.run().is_successful()
    assert flow.run().is_successful()
