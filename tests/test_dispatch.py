"""Which service logic gets a message: docs/jsip.md section 6, step by step."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from gortc.dispatch import BY_DEFAULT, BY_HOST, BY_RELID, BY_TYPE
from gortc.jsip.message import Request
from gortc.jsip.uri import KEPT_LENGTH
from gortc.service.task import Task
from gortc.testing import Talk
from tests.jsip.kit import Stage


def ring(stage: Stage, who: str, router: str | None = None, uri: str = "x", service: str | None = None) -> Talk:
    """A call that `service` gets."""
    headers = {} if router is None else {"Router": router}
    talk = stage.person(who).call(uri, **headers)
    stage.said(f"{who} > INVITE", *([f"{service} INVITE"] if service else []))
    return talk


def leave(stage: Stage, *talks: Talk) -> None:
    for talk in talks:
        talk.cancel()
        talk.ack()
    stage.forget()


def refused(stage: Stage, router: str, code: int) -> str:
    """A call that no service gets; the reason."""
    alice = stage.person("alice")
    talk = alice.call("x", Router=router)
    stage.said("alice > INVITE", f"alice < {code} INVITE")
    talk.ack()
    stage.said("alice > ACK")
    reason: str = alice.inbox[-1]["Reason"]
    return reason


# 1. (channel, DialogueID) is in the session table: its instance.


@pytest.mark.proves("D-1")
def test_step_1_a_message_of_a_session_goes_to_its_instance() -> None:
    with Stage("default", "other") as stage:
        call = ring(stage, "alice", "h;type=other", service="other")
        call.send("INFO", Router="h;type=default")  # what it says of a service means nothing now
        stage.said("alice > INFO", "other INFO")
        leave(stage, call)


# 2. It is not, and the message may not start a session.


@pytest.mark.proves("D-2")
@pytest.mark.parametrize("method", ["BYE", "CANCEL", "INFO", "UPDATE", "PRACK", "NOTIFY"])
def test_step_2_a_message_that_may_not_start_a_session(stage: Stage, method: str) -> None:
    stage.play(f"alice {method} Router=h;type=service")
    stage.said(f"alice > {method}", f"alice < 481 {method}")


@pytest.mark.proves("D-2")
@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE"])
def test_step_2_those_that_may(stage: Stage, method: str) -> None:
    stage.play(f"alice {method} Router=h;type=service", "service 486", "wait 5")
    stage.said(f"alice > {method}", f"service {method}", f"alice < 486 {method}", "service TERM")


# 3. First Router URI, unreadable: 400.


@pytest.mark.proves("D-3")
@pytest.mark.parametrize("router", ["", " ", ",h;type=service", "a b", ";type=service", "h;type=service;;", "a@b@c,h"])
def test_step_3_an_unreadable_router(stage: Stage, router: str) -> None:
    assert "Router" in refused(stage, router, 400)


@pytest.mark.proves("D-3")
def test_step_3_only_the_first_one_is_read(stage: Stage) -> None:
    leave(stage, ring(stage, "alice", "h;type=service, a b, ;;", service="service"))


# 4. `;type=NAME`, else `default`.


@pytest.mark.proves("D-4")
def test_step_4_type_names_the_service() -> None:
    with Stage("default", "one", "two") as stage:
        leave(stage, ring(stage, "alice", "h;type=one", service="one"))
        leave(stage, ring(stage, "alice", "sip:any@h:80;x=1;type=two;y", service="two"))


@pytest.mark.proves("D-5")
@pytest.mark.parametrize("router", [None, "h", "h;other=one", "h;type", "h;type="])
def test_step_4_no_router_or_no_type_is_default(router: str | None) -> None:
    with Stage("default", "one") as stage:
        leave(stage, ring(stage, "alice", router, service="default"))


@pytest.mark.proves("D-6")
@pytest.mark.parametrize(
    ("router", "uri", "service"),
    [
        (None, "400@one.gortc.com", "one"),
        (None, "400@ONE.gortc.com", "one"),
        (None, "400@two.gortc.com", "default"),
        ("one.gortc.com", "400@other.gortc.com", "one"),
        ("other.gortc.com", "400@one.gortc.com", "default"),
        ("one.gortc.com;type=other", "400@one.gortc.com", "other"),
        ("one", "400@x", "one"),
    ],
)
def test_step_4_by_host_where_the_setting_is_on(router: str | None, uri: str, service: str) -> None:
    with Stage("default", "one", "other", select_by_host=True) as stage:
        uri = uri.replace("other.", "elsewhere.")
        router = router and router.replace("other.gortc", "elsewhere.gortc")
        leave(stage, ring(stage, "alice", router, uri, service))


@pytest.mark.proves("D-6")
def test_step_4_not_by_host_by_default() -> None:
    with Stage("default", "one") as stage:
        leave(stage, ring(stage, "alice", "one.gortc.com", "400@one.gortc.com", "default"))


# 5. No such service loaded: 404.


@pytest.mark.proves("D-7")
def test_step_5_no_such_service(stage: Stage) -> None:
    assert "'nobody'" in refused(stage, "h;type=nobody", 404)
    assert len(refused(stage, f"h;type={'x' * 1000}", 404)) < 200
    refused(stage, f"h;type={'x' * 5000}", 400)  # a URI that is too long


@pytest.mark.proves("D-7")
def test_step_5_no_default() -> None:
    with Stage("one", "two") as stage:
        refused(stage, "h", 404)


@pytest.mark.proves("D-7")
def test_step_5_a_message_is_refused_as_well(stage: Stage) -> None:
    stage.play("alice MESSAGE Router=h;type=nobody")
    stage.said("alice > MESSAGE", "alice < 404 MESSAGE")


# 6. `;relid=KEY`.


@pytest.mark.proves("D-8", "D-9", "D-16")
def test_step_6_sessions_with_one_relid_meet_in_one_instance(stage: Stage) -> None:
    one = ring(stage, "alice", "h;type=service;relid=room", service="service")
    other = ring(stage, "bob", "h;type=service;relid=room", service="service")
    assert len(stage.probe.tasks) == 1
    assert stage.task.relation == "room"
    assert len(stage.task.sessions) == 2
    leave(stage, one)
    third = ring(stage, "carol", "h;relid=room;type=service", service="service")
    assert len(stage.probe.tasks) == 1
    leave(stage, other, third)
    leave(stage, ring(stage, "alice", "h;type=service;relid=room", service="service"))  # its instance has gone
    assert len(stage.probe.tasks) == 2


@pytest.mark.proves("D-9")
def test_step_6_another_relid_is_another_instance(stage: Stage) -> None:
    talks = [ring(stage, who, f"h;type=service;relid={who}", service="service") for who in ("alice", "bob")]
    assert len(stage.probe.tasks) == 2
    leave(stage, *talks)


@pytest.mark.proves("D-9")
def test_step_6_the_same_key_in_two_services_never_meets() -> None:
    with Stage("one", "two") as stage:
        talks = [
            ring(stage, "alice", "h;type=one;relid=room", service="one"),
            ring(stage, "bob", "h;type=two;relid=room", service="two"),
            ring(stage, "carol", "h;type=two;relid=room", service="two"),
        ]
        assert [len(probe.tasks) for probe in stage.probes.values()] == [1, 1]
        leave(stage, *talks)


@pytest.mark.proves("D-8")
def test_step_6_a_relid_without_type_is_the_default_services() -> None:
    with Stage("default", "one") as stage:
        talks = [
            ring(stage, "alice", "h;relid=room", service="default"),
            ring(stage, "bob", "h;type=default;relid=room", service="default"),
            ring(stage, "carol", "h;type=one;relid=room", service="one"),
        ]
        assert len(stage.probe.tasks) == 1
        leave(stage, *talks)


@pytest.mark.parametrize("relid", ["relid", "relid="])
def test_step_6_a_relid_without_a_key_relates_nothing(stage: Stage, relid: str) -> None:
    talks = [ring(stage, who, f"h;type=service;{relid}", service="service") for who in ("alice", "bob")]
    assert len(stage.probe.tasks) == 2
    leave(stage, *talks)


@pytest.mark.proves("D-10", "D-11")
def test_step_6_a_minted_relid_is_valid_whatever_the_type() -> None:
    with Stage("one", "two") as stage:
        talks = [ring(stage, "alice", "h;type=one", service="one")]
        relid = stage.task.relid()
        assert relid.startswith("rel_gortc.local_")
        assert stage.task.relid() != relid
        for router in (f"h;type=two;relid={relid}", f"h;type=nobody;relid={relid}", f"h;relid={relid}"):
            talks.append(ring(stage, "bob", router, service="one"))
        assert len(stage.probe.tasks) == 1
        leave(stage, *talks)
        stage.said()
        for router in (f"h;relid={relid}", f"h;type=two;relid={relid}"):
            assert "gone" in refused(stage, router, 404)


@pytest.mark.proves("D-9")
def test_step_6_a_minted_relid_of_another_node_is_a_key_as_any(stage: Stage) -> None:
    leave(stage, ring(stage, "alice", "h;relid=rel_other.example_1;type=service", service="service"))


@pytest.mark.proves("D-8", "D-16")
def test_step_6_a_chosen_relid() -> None:
    with Stage("one", "two") as stage:
        talks = [ring(stage, "alice", "h;type=one", service="one")]
        task = stage.task
        task.relate("room")
        with pytest.raises(KeyError):
            task.relate("room")
        talks.append(ring(stage, "bob", "h;type=one;relid=room", service="one"))
        assert stage.probe.tasks == [task]
        talks.append(ring(stage, "carol", "h;type=two;relid=room", service="two"))
        leave(stage, *talks)
        leave(stage, ring(stage, "bob", "h;type=one;relid=room", service="one"))
        assert len(stage.probe.tasks) == 2


# 7. The first Router entry is taken off.


@pytest.mark.proves("D-12")
@pytest.mark.parametrize(
    ("router", "rest"),
    [
        ("h;type=service", None),
        ("h;type=service,next.example;lr", "next.example;lr"),
        ("h;type=service , a@next.example , b@last.example", "a@next.example , b@last.example"),
        ("h;relid=room,next.example", "next.example"),
        ("gortc.local", None),
        ("GORTC.local,next.example", "next.example"),
        ("gortc.local:8080;x=1,next.example", "next.example"),
        ("sip:GORTC.local,next.example", "next.example"),
        ("xn--bcher-kva.Example,next.example", "next.example"),
        ("b\u00fccher.example,next.example", "next.example"),
        ("pbx:gortc.local,next.example", "pbx:gortc.local,next.example"),  # another name
        ("gortc\u3002local,next.example", "gortc\u3002local,next.example"),
        ("second.example,next.example", "next.example"),
        ("next.example", "next.example"),
        ("next.example,gortc.local", "next.example,gortc.local"),
        ("alice@gortc.local,next.example", "alice@gortc.local,next.example"),  # a user of ours is not this node
    ],
)
def test_step_7_the_first_entry_is_taken_off(router: str, rest: str | None) -> None:
    with Stage(domains=("Second.example", "b\u00fccher.example")) as stage:
        call = ring(stage, "alice", router, service="service")
        assert stage.probe.messages[0].get("Router") == rest
        leave(stage, call)


# An instance, its sessions, its end.


def test_an_instance_without_an_incoming_session(stage: Stage) -> None:
    stage.dial("bob")
    start = stage.probe.messages[0]
    assert (start.headers, start.local) == ({"Type": "START"}, True)
    stage.play("bob 486")
    stage.said("bob < INVITE", "bob > 486 INVITE", "bob < ACK", "service 486 INVITE", "service TERM")


@pytest.mark.proves("D-15")
def test_an_instance_that_does_nothing_ends_at_once(stage: Stage) -> None:
    stage.start("service", colour="red")
    assert stage.probe.messages[0].get("colour") == "red"
    assert stage.node.census()["tasks"] == 0


@pytest.mark.proves("D-16")
def test_its_rows_go_at_once(stage: Stage) -> None:
    call = ring(stage, "alice", "h;type=service;relid=room", service="service")
    stage.task.relid()
    stage.task.finish()
    assert not stage.node.dispatch.chosen
    assert not stage.node.dispatch.minted
    other = stage.person("bob").call("x", Router="h;type=service;relid=room")  # the key is free already
    assert len(stage.probe.tasks) == 2
    call.ack()
    leave(stage, other)


def test_term_of_a_session_without_an_owner_goes_nowhere(stage: Stage) -> None:
    refused(stage, "h;type=nobody", 404)
    assert not stage.probe.messages


# What would become of it, without its being sent.


@pytest.mark.parametrize("by_host", [False, True])
@pytest.mark.parametrize(
    "router", [None, "h;type=other", "h;type=nobody", "other.h", "h;type=other;relid=there", "h;relid=there"]
)
@pytest.mark.parametrize("uri", ["x", "x@other.h"])
def test_what_is_foretold_comes_true(by_host: bool, router: str | None, uri: str) -> None:
    with Stage("default", "other", select_by_host=by_host) as stage:
        first = ring(stage, "bob", "h;type=other;relid=there", service="other")
        found, why = stage.node.dispatch.which(router, uri)
        alice = stage.person("alice")
        talk = alice.call(uri, **({} if router is None else {"Router": router}))
        (session,) = alice.channel.sessions.values()
        if found is None:
            assert alice.inbox[-1]["Reason"] == why
        elif isinstance(found, Task):
            assert session.owner is found
            assert why == BY_RELID
        else:
            assert isinstance(session.owner, Task)
            assert session.owner.context is found
            assert len(session.owner.sessions) == 1
            assert why in (BY_TYPE, BY_HOST, BY_DEFAULT)
        for one in (first, talk):
            one.cancel()
            one.ack()
        stage.lines.clear()
        stage.node.journal.counts.clear()
        stage.forget()


@pytest.mark.parametrize("length", [KEPT_LENGTH, 1000])
def test_what_is_kept_of_routers_takes_some_megabytes(stage: Stage, length: int) -> None:
    """Peers choose it."""

    def take(first: int) -> None:
        for at in range(first, first + 3000):
            router = f"h;type={at}-\U0001f600;relid=\U0001f600,".ljust(length, "\U0001f600")
            request = Request({"Router": router}, "OPTIONS", 1, "d", "x", "x")
            assert stage.node.dispatch._take_router(request) is not None

    take(0)
    gc.collect()
    tracemalloc.start()
    try:
        take(3000)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 6_000_000
