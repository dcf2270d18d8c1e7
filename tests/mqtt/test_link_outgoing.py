"""What leaves through the link, in which order, and again after a loss."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.scripted_broker import FakeTime, Lines
from whosin.mqtt.codec import V5, Connect, Decoder, Publish, Reason, Side, encode
from whosin.mqtt.link.outgoing import SUBSCRIBE_ID, Outgoing
from whosin.mqtt.link.quiet import Quiet


class Desk:
    def __init__(self, **bounds: int) -> None:
        self.time = FakeTime()
        self.log = Lines()
        self.out = Outgoing(Quiet(self.log, self.time), **bounds)
        self.done: list[str] = []
        self._decoder = Decoder(Side.CLIENT)
        self._decoder.feed(encode(Connect("c", version=V5), V5))

    def connect(self, *, session_present: bool = False, receive_maximum: int = 100, largest: int = 10_000):
        self.out.connected(
            session_present=session_present, receive_maximum=receive_maximum, largest_packet=largest
        )

    def event(self, payload: str) -> None:
        self.out.event("e/1", payload.encode(), lambda: self.done.append(payload))

    def sent(self) -> list[Any]:
        """Payloads as text, acknowledgements as numbers."""
        return [
            packet.payload.decode() if isinstance(packet, Publish) else packet.packet_id
            for packet in self.packets()
        ]

    def packets(self) -> list[Any]:
        packets: list[Any] = []
        while data := self.out.take():
            packets += self._decoder.feed(data)
        return packets

    def puback(self, packet_id: int, reason: Reason = Reason.SUCCESS) -> None:
        self.out.acked(packet_id, reason, self.time.now_ms())


def test_answers_and_acknowledgements_leave_in_the_order_handed_over():
    desk = Desk()
    desk.connect()
    desk.out.answer("d/1", b"a")
    desk.out.ack(7)
    desk.out.ack(8)
    desk.out.answer("d/2", b"b")
    desk.out.ack(9)
    assert desk.sent() == ["a", 7, 8, "b", 9]


def test_acknowledgements_wait_behind_answers_that_the_window_holds_back():
    desk = Desk()
    desk.connect(receive_maximum=1)
    desk.out.answer("d/1", b"a")
    desk.out.answer("d/2", b"b")
    desk.out.ack(7)
    first = desk.packets()
    assert [packet.payload for packet in first] == [b"a"]
    desk.puback(first[0].packet_id)
    assert desk.sent() == ["b", 7]


def test_the_window_is_the_smaller_of_ours_and_the_brokers():
    for receive_maximum, sent in ((2, 2), (100, 3)):
        desk = Desk(window=3)
        desk.connect(receive_maximum=receive_maximum)
        for number in range(5):
            desk.event(str(number))
        assert len(desk.sent()) == sent


def test_nothing_leaves_before_the_connection():
    desk = Desk()
    desk.out.answer("d/1", b"a")
    desk.event("1")
    assert desk.out.take() == b""


def test_done_is_called_at_puback_and_once():
    desk = Desk()
    desk.connect()
    desk.event("1")
    [packet] = desk.packets()
    assert desk.done == []
    desk.puback(packet.packet_id, Reason.NO_MATCHING_SUBSCRIBERS)
    desk.puback(packet.packet_id)
    desk.puback(4711)
    assert desk.done == ["1"]
    assert desk.out.idle


def test_a_broker_that_kept_the_session_gets_the_same_packets_again_marked_and_first():
    desk = Desk()
    desk.connect()
    desk.out.answer("d/1", b"a")
    desk.event("1")
    before = desk.packets()
    desk.puback(before[1].packet_id)
    desk.event("2")
    before.append(desk.packets()[0])
    desk.out.disconnected()
    desk.out.answer("d/1", b"b")
    desk.connect(session_present=True)
    again = desk.packets()
    assert [(p.payload, p.dup) for p in again] == [(b"a", True), (b"2", True), (b"b", False)]
    assert [p.packet_id for p in again[:2]] == [before[0].packet_id, before[2].packet_id]
    assert desk.done == ["1"]


def test_a_broker_that_forgot_us_gets_them_anew():
    desk = Desk()
    desk.connect()
    desk.event("1")
    desk.packets()
    desk.out.disconnected()
    desk.connect(session_present=False)
    [packet] = desk.packets()
    assert not packet.dup


def test_sending_again_keeps_to_a_window_that_became_smaller():
    desk = Desk()
    desk.connect()
    for number in range(4):
        desk.event(str(number))
    desk.packets()
    desk.out.disconnected()
    desk.event("4")
    desk.connect(session_present=True, receive_maximum=2)
    sent: list[bytes] = []
    while packets := desk.packets():
        sent += [packet.payload for packet in packets]
        assert len(packets) <= 2
        for packet in packets:
            desk.puback(packet.packet_id)
    assert sent == [b"0", b"1", b"2", b"3", b"4"]
    assert desk.out.idle


def test_acknowledgements_are_void_after_a_loss():
    desk = Desk()
    desk.out.ack(7)
    desk.out.answer("d/1", b"a")
    desk.out.disconnected()
    desk.connect(session_present=True)
    assert desk.sent() == ["a"]


def test_a_puback_for_what_this_connection_has_not_sent_changes_nothing():
    desk = Desk()
    desk.connect()
    desk.event("1")
    [packet] = desk.packets()
    desk.out.disconnected()
    desk.connect(session_present=True)
    desk.puback(packet.packet_id)
    assert desk.done == []
    assert desk.sent() == ["1"]


def test_beyond_the_bound_the_oldest_answers_are_dropped_and_counted():
    desk = Desk(answers=3)
    for number in range(5):
        desk.out.answer("d/1", str(number).encode())
    assert desk.out.dropped == 2
    assert [event for _, event, _ in desk.log.lines] == ["link.answers_dropped"]
    desk.connect()
    assert desk.sent() == ["2", "3", "4"]


def test_dropping_steps_over_acknowledgements():
    desk = Desk(answers=1)
    desk.out.ack(7)
    desk.out.answer("d/1", b"a")
    desk.out.answer("d/1", b"b")
    desk.connect()
    assert desk.sent() == [7, "b"]


def test_room_for_events_ends_at_the_bound():
    desk = Desk(events=2)
    desk.event("1")
    assert desk.out.roomy
    desk.event("2")
    assert not desk.out.roomy
    desk.connect()
    desk.packets()
    assert desk.out.roomy


def test_packet_identifiers_wrap_around_what_is_taken_and_leave_one_for_subscribing():
    desk = Desk()
    desk.connect()
    desk.event("stays")
    [stays] = desk.packets()
    seen = set()
    for _ in range(70_000):
        desk.out.answer("d/1", b"a")
        [packet] = desk.packets()
        seen.add(packet.packet_id)
        desk.puback(packet.packet_id)
    assert stays.packet_id not in seen
    assert seen | {stays.packet_id} == set(range(1, SUBSCRIBE_ID))


def test_events_refused_for_now_are_offered_again_in_order():
    desk = Desk()
    desk.connect()
    for number in range(3):
        desk.event(str(number))
    packets = desk.packets()
    desk.puback(packets[1].packet_id, Reason.NOT_AUTHORIZED)
    desk.puback(packets[0].packet_id, Reason.QUOTA_EXCEEDED)
    desk.puback(packets[2].packet_id)
    desk.event("3")
    assert desk.sent() == []
    assert not desk.out.roomy
    assert not desk.out.retry(desk.time.now_ms() + 4_999)
    assert desk.out.retry(desk.time.now_ms() + 5_000)
    again = desk.packets()
    assert [(p.payload, p.dup) for p in again] == [(b"0", False), (b"1", False), (b"3", False)]
    assert desk.done == ["2"]


def test_refused_events_survive_a_loss():
    desk = Desk()
    desk.connect()
    desk.event("1")
    [packet] = desk.packets()
    desk.puback(packet.packet_id, Reason.NOT_AUTHORIZED)
    desk.out.disconnected()
    desk.connect()
    assert desk.sent() == ["1"]


def test_a_refused_answer_is_given_up_and_said():
    desk = Desk()
    desk.connect()
    desk.out.answer("d/1", b"a")
    [packet] = desk.packets()
    desk.puback(packet.packet_id, Reason.NOT_AUTHORIZED)
    assert desk.out.idle
    assert desk.log.lines == [("error", "link.not_published", {"topic": "d/1", "cause": "not_authorized"})]


def test_what_the_broker_can_never_take_is_given_up_and_said():
    desk = Desk()
    desk.connect(largest=100)
    desk.event("x" * 200)
    desk.event("1")
    assert desk.sent() == ["1"]
    assert desk.done == ["x" * 200]
    _, event, fields = desk.log.lines[0]
    assert event == "link.not_published"
    assert fields["allowed"] == 100


def test_the_status_goes_first_and_is_not_piled_up():
    desk = Desk()
    desk.event("1")
    desk.out.status("s", b"online")
    desk.out.status("s", b"online")
    desk.connect()
    packets = desk.packets()
    assert [(p.payload, p.retain) for p in packets] == [(b"online", True), (b"1", False)]
    desk.out.disconnected()
    desk.out.status("s", b"online")
    desk.connect(session_present=True)
    assert desk.sent() == ["online", "1"]
    desk.puback(packets[0].packet_id)
    desk.out.status("s", b"online")
    assert desk.sent() == ["online"]


def test_the_last_status_goes_behind_what_waits():
    desk = Desk()
    desk.event("1")
    desk.out.status("s", b"offline", last=True)
    desk.connect()
    assert desk.sent() == ["1", "offline"]


def test_a_window_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="window is 0"):
        Desk(window=0)


def test_pieces_are_bounded_so_that_a_slow_socket_is_noticed():
    desk = Desk()
    desk.connect()
    for _ in range(50):
        desk.out.answer("d/1", b"x" * 5_000)
    assert len(desk.out.take()) < 75_000
