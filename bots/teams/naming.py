"""What people say of a transcript's speakers, in the order in which they said it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bots.teams.shares import State
from core.relabelling import amended


def named(state: State, names: Mapping[str, str], merged: Mapping[str, str], *, when: float) -> State:
    """The state with what somebody said at `when`, Unix seconds. What was said of a label later than that
    stays, also where it was heard of before."""
    names, merged = (
        {label: to for label, to in each.items() if state.said.get(label, 0.0) <= when}
        for each in (names, merged)
    )
    others = {label: into for label, into in state.merged.items() if label not in merged}
    is_newest = when >= max(state.said.values(), default=0.0)
    return replace(
        state,
        names={**state.names, **names},
        merged=amended(others, merged) if is_newest else amended(merged, others),
        said={**state.said, **dict.fromkeys([*names, *merged], when)},
    )
