"""updates.*: a state in which nothing is ever missed; the simulator pushes no message updates."""

from datetime import UTC, datetime

from telethon.tl import functions
from telethon.tl import types as tl

from tg_pipeline.simulator.methods.registry import Call, handles


@handles(functions.updates.GetStateRequest)
def get_state(call: Call) -> object:
    """The account's update state."""
    return tl.updates.State(pts=1, qts=0, date=datetime.fromtimestamp(call.now, UTC), seq=1, unread_count=0)


@handles(functions.updates.GetChannelDifferenceRequest)
def get_channel_difference(call: Call) -> object:
    """Nothing happened in the channel since."""
    return tl.updates.ChannelDifferenceEmpty(pts=call.request.pts, final=True)


@handles(functions.updates.GetDifferenceRequest)
def get_difference(call: Call) -> object:
    """Nothing happened since."""
    return tl.updates.DifferenceEmpty(date=datetime.fromtimestamp(call.now, UTC), seq=1)
