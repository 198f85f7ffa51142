"""Addresses that open a message in Teams."""

from __future__ import annotations

from dataclasses import replace

from bots.teams.incoming import Reference
from bots.teams.links import message_link

CHANNEL = Reference(
    service_url="https://smba.trafficmanager.net/emea/",
    conversation="19:abc@thread.tacv2",
    root="1700000000000",
    kind="channel",
    tenant="t",
    bot="28:b",
)
CHAT = replace(CHANNEL, conversation="19:abc@thread.v2", root="", kind="groupChat")
ALONE = replace(CHANNEL, conversation="a:1xyz", root="", kind="personal")


def test_messages_have_addresses() -> None:
    assert message_link(CHANNEL, "1700000000123", team="group") == (
        "https://teams.microsoft.com/l/message/19%3Aabc%40thread.tacv2/1700000000123"
        "?groupId=group&parentMessageId=1700000000000"
    )
    assert message_link(CHAT, "1700000000123") == (
        "https://teams.microsoft.com/l/message/19%3Aabc%40thread.v2/1700000000123"
        "?context=%7B%22contextType%22%3A%22chat%22%7D"
    )
    two = replace(CHAT, conversation="19:one_two@unq.gbl.spaces", kind="personal")
    assert "one_two%40unq" in message_link(two, "1")


def test_some_messages_have_none() -> None:
    assert message_link(ALONE, "1") == ""
    assert message_link(CHAT, "") == ""
    assert message_link(CHANNEL, "1") == ""
    assert message_link(replace(CHANNEL, root=""), "1", team="group") == ""
    other = "https://smba.infra.gov.teams.microsoft.us/teams/"
    assert message_link(replace(CHAT, service_url=other), "1") == ""
