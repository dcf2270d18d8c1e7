"""Small shortcuts for the codec's tests."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from whosin.mqtt.codec import V5, V311, ConnAck, Connect, Decoder, ProtocolError, Side, encode


def greeted(side, version):
    """A decoder of what `side` sends, its first packet behind it."""
    decoder = Decoder(side, version if side is Side.SERVER else None)
    first = Connect("c", version=version) if side is Side.CLIENT else ConnAck()
    assert decoder.feed(encode(first, version)) == [first]
    return decoder


def refused(data, *, side=Side.CLIENT, version=V5, first=False):
    """The ProtocolError that `data` comes to, behind the first packet or as it."""
    decoder = greeted(side, version) if not first else Decoder(side, version if side is Side.SERVER else None)
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(data)
    assert caught.value.side is side
    return caught.value


BOTH = pytest.mark.parametrize("version", [V311, V5])


def calm(examples=100):
    """Settings that a busy machine does not upset: no deadline, and slow generation is no failure."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
