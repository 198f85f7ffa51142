"""Whether what our Slack sends has only fields that Slack's published samples have.

The samples are key skeletons: names of fields, every variant merged. They say nothing about values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.vendors.slack_delivery import Delivery

_FIELDS = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
_OPAQUE = {"attachments", "blocks", "event_payload", "values"}

_BEYOND = {
    # Who the other one is: documented for direct messages, and in the sample of conversations.open.
    "api/conversations.info.json": frozenset({"channel.user"}),
    # In the sample of conversations.history, of the same messages.
    "api/conversations.replies.json": frozenset({"messages[].client_msg_id"}),
    # The samples' views are empty.
    "app-backend/views/ViewClosedPayload.json": frozenset({"view.blocks"}),
    "app-backend/views/ViewSubmissionPayload.json": frozenset({"view.blocks"}),
    "events/AppHomeOpenedPayload.json": frozenset({"event.view.blocks"}),
    # Unverified: sent if `mentions_carry_files` only.
    "events/AppMentionPayload.json": frozenset({"event.files"}),
}
"""What we send although the sample lacks it."""

_EVENTS = {
    "app_home_opened": "AppHomeOpened",
    "app_mention": "AppMention",
    "app_uninstalled": "AppUninstalled",
    "file_deleted": "FileDeleted",
    "file_shared": "FileShared",
    "member_joined_channel": "MemberJoinedChannel",
    "member_left_channel": "MemberLeftChannel",
    "message": "Message",
    "tokens_revoked": "TokensRevoked",
}
_MESSAGES = {
    "file_share": "MessageFileShare",
    "message_changed": "MessageChanged",
    "message_deleted": "MessageDeleted",
}
_INTERACTIONS = {
    "block_actions": "interactive-components/BlockActionPayload",
    "message_action": "interactive-components/MessageShortcutPayload",
    "view_closed": "views/ViewClosedPayload",
    "view_submission": "views/ViewSubmissionPayload",
}


def sample_of(delivery: Delivery) -> str:
    """The sample that shows such a payload."""
    if delivery.way == "slash_commands":
        return "app-backend/slash-commands/SlashCommandPayload.json"
    if delivery.way == "interactive":
        return f"app-backend/{_INTERACTIONS[delivery.kind]}.json"
    name = _MESSAGES.get(delivery.event.get("subtype", "")) or _EVENTS[delivery.kind]
    return f"events/{name}Payload.json"


def paths(value: Any, path: str = "", *, file: bool = False) -> Iterator[tuple[str, bool]]:
    """Every field of a payload, and whether it is one of a file."""
    if isinstance(value, list):
        for item in value:
            yield from paths(item, f"{path}[]", file=file)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            name = "*" if path in ("shares.public", "shares.private") else key
            here = f"{path}.{name}" if path else name
            if key not in ("values", "event_payload"):
                yield here, file
            if key in ("files", "file") and isinstance(inner, (Mapping, list)):
                for one in [inner] if isinstance(inner, Mapping) else inner:
                    yield from paths(one, file=True)
            elif key not in _OPAQUE:
                yield from paths(inner, here, file=file)


def unknown(sample: str, payload: Any) -> set[str]:
    """Fields of a payload that the sample does not have; those of files begin with "file:"."""
    known = published(sample)
    return {
        f"file:{path}" if file else path
        for path, file in paths(payload)
        if (f"file:{path}" if file else path) not in known
    }


@cache
def published(sample: str) -> frozenset[str]:
    """The fields of a sample, those of the files in it as "file:...". The outer fields of events are the same
    for all of them."""
    samples = _FIELDS["samples"]
    fields = {*samples[sample], *(f"file:{name}" for name in _FIELDS["file"])}
    if sample.startswith("events/"):
        events = [names for other, names in samples.items() if other.startswith("events/")]
        fields |= {name for names in events for name in names if not name.startswith("event.")}
    return frozenset(fields | _BEYOND.get(sample, frozenset()))
