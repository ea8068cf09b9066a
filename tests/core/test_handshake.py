"""The handshake of the data plane: who has the key and belongs here gets in; nobody else, whatever was overheard."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjob.core import frames, greetings
from flowjob.core.handshake import Connecting, Listening, Party, nonce_of
from flowjob.errors import HandshakeRefused, ProtocolError

LEFT = Party("flights/main-1", 3, "the key", "left")
RIGHT = replace(LEFT, slot="right")


def body(frame: bytes) -> bytes:
    return frame[frames.HEADER_SIZE :]


def shake(connecting: Connecting, listening: Listening) -> str:
    challenge = listening.challenge(body(connecting.hello()))
    return listening.judge(body(connecting.answer(body(challenge))))


def connecting(party: Party = LEFT, peer: str = "right", nonce: str = "a") -> Connecting:
    return Connecting(party, peer, nonce_of(nonce))


def listening(party: Party = RIGHT, nonce: str = "b") -> Listening:
    return Listening(party, nonce_of(nonce))


def test_two_slots_of_one_attempt_know_each_other() -> None:
    assert shake(connecting(), listening()) == "left"


@pytest.mark.parametrize(
    ("me", "peer", "reason"),
    [
        (replace(LEFT, attempt=2), "right", "it belongs to a stale attempt 2, this slot to attempt 3"),
        (replace(LEFT, attempt=4), "right", "it belongs to a newer attempt 4"),
        (replace(LEFT, job="flights/main-2"), "right", "it belongs to job 'flights/main-2'"),
        (LEFT, "middle", "it looks for 'middle', and this is 'right'"),
    ],
)  # fmt: skip
def test_a_peer_with_the_key_that_does_not_belong_here_is_told_why(
    me: Party, peer: str, reason: str
) -> None:
    with pytest.raises(HandshakeRefused, match=reason):
        shake(connecting(me, peer), listening())


def test_a_listener_without_the_key_gets_no_answer() -> None:
    stranger = listening(replace(RIGHT, key="guess"))
    me = connecting()
    challenge = stranger.challenge(body(me.hello()))
    with pytest.raises(HandshakeRefused, match="does not have this job's data key"):
        me.answer(body(challenge))


def test_one_who_connects_without_the_key_learns_only_that() -> None:
    """Of a wrong attempt, too: the key is judged first."""
    stranger = Connecting(replace(LEFT, key="guess", attempt=1), "nobody", nonce_of("a"))
    me = listening()
    me.challenge(body(stranger.hello()))
    with pytest.raises(HandshakeRefused) as refused:
        me.judge(bytes(frames.PROOF_SIZE))
    assert str(refused.value) == "it does not have this job's data key"


def test_what_was_overheard_is_worth_nothing_on_another_connection() -> None:
    me, first = connecting(), listening()
    proof = me.answer(body(first.challenge(body(me.hello()))))
    assert first.judge(body(proof)) == "left"
    again = listening(nonce="c")
    again.challenge(body(me.hello()))
    with pytest.raises(HandshakeRefused, match="data key"):
        again.judge(body(proof))


def test_an_overheard_challenge_is_worth_nothing_to_a_false_listener() -> None:
    challenge = body(listening().challenge(body(connecting().hello())))
    with pytest.raises(HandshakeRefused, match="data key"):
        connecting(nonce="another").answer(challenge)


def test_a_slot_is_not_fooled_with_its_own_answers() -> None:
    """A stranger opens a connection to a slot that connects to it, and sends back what it gets."""
    me = connecting(LEFT, "left")
    mirror = listening(LEFT)
    challenge = mirror.challenge(body(me.hello()))
    with pytest.raises(HandshakeRefused, match="data key"):
        mirror.judge(body(challenge)[frames.NONCE_SIZE :])


@pytest.mark.parametrize("field", ["attempt", "job", "slot", "peer", "nonce"])
def test_a_proof_holds_for_the_greeting_it_was_made_for_only(field: str) -> None:
    """Whoever changes a greeting on its way gets neither side's proof right."""
    me = connecting()
    changed = greetings.parse_hello(body(me.hello()))
    other = {"attempt": 9, "job": "x", "slot": "y", "peer": "z", "nonce": bytes(32)}[field]
    changed = replace(changed, **{field: other})  # type: ignore[arg-type]
    there = listening()
    challenge = there.challenge(greetings.hello_body(changed))
    with pytest.raises(HandshakeRefused, match="data key"):
        me.answer(body(challenge))


@pytest.mark.parametrize("version", [0, 2, 4, 65_535])
def test_another_version_is_refused_whatever_follows_in_its_greeting(version: int) -> None:
    hello = greetings.MAGIC + version.to_bytes(2, "little") + bytes(6)
    with pytest.raises(HandshakeRefused, match=f"speaks protocol version {version}, this slot"):
        listening().challenge(hello)


def test_steps_out_of_order_are_a_broken_protocol() -> None:
    me = listening()
    with pytest.raises(ProtocolError, match="PROOF before HELLO"):
        me.judge(bytes(32))
    me.challenge(body(connecting().hello()))
    with pytest.raises(ProtocolError, match="second HELLO"):
        me.challenge(body(connecting().hello()))


def test_the_key_is_in_no_frame_and_in_no_text() -> None:
    me, there = connecting(), listening()
    challenge = there.challenge(body(me.hello()))
    sent = me.hello() + challenge + me.answer(body(challenge))
    assert b"the key" not in sent
    assert "the key" not in repr(LEFT)


@settings(max_examples=200)
@given(st.data(), st.integers(0, 2))
def test_no_changed_bit_gets_through(data: st.DataObject, which: int) -> None:
    """Of any message, in any place."""
    me, there = connecting(), listening()

    def passing(message: bytes, number: int) -> bytes:
        if number != which:
            return message
        at = data.draw(st.integers(0, 8 * len(message) - 1))
        changed = bytearray(message)
        changed[at // 8] ^= 1 << at % 8
        return bytes(changed)

    def talk() -> str:
        challenge = there.challenge(passing(body(me.hello()), 0))
        answer = me.answer(passing(body(challenge), 1))
        return there.judge(passing(body(answer), 2))

    with pytest.raises(ProtocolError):
        talk()


@settings(max_examples=150)
@given(st.binary(max_size=120), st.binary(max_size=70), st.binary(max_size=40), st.booleans())
def test_any_bytes_are_refused_or_a_broken_protocol(
    hello: bytes, challenge: bytes, proof: bytes, marked: bool
) -> None:
    if marked:
        hello = greetings.MAGIC + frames.VERSION.to_bytes(2, "little") + hello
    with pytest.raises(ProtocolError):
        connecting().answer(challenge)
    there = listening()
    try:
        there.challenge(hello)
    except ProtocolError:
        pass
    with pytest.raises(ProtocolError):
        there.judge(proof)
