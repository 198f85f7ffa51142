"""Who may read a file, from what Drive tells."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.gdrive.audience import is_open, is_owners, is_within

BO = {"permissionId": "bo"}
FOR_ALL = {"permissionIds": ["ann", "anyoneWithLink"]}


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        (FOR_ALL, True),
        ({"permissions": [{"type": "user"}, {"type": "anyone"}]}, True),
        ({"permissionIds": ["ann"], "permissions": [{"type": "domain"}]}, False),
        ({}, False),
    ],
)
def test_open(told: dict[str, Any], answer: bool) -> None:
    assert is_open(told) is answer


@pytest.mark.parametrize(
    ("shortcut", "target", "answer"),
    [
        ({"owners": [BO]}, {"permissionIds": ["ann", "bo"]}, True),
        ({"owners": [BO]}, {"owners": [BO]}, True),
        ({"owners": [BO]}, {"permissionIds": ["ann"]}, False),
        ({"owners": [BO]}, {}, False),
        ({"owners": [BO]}, FOR_ALL, True),
        ({"owners": [BO], "lastModifyingUser": {"permissionId": "ann"}}, {"permissionIds": ["ann"]}, False),
        ({"owners": [{"permissionId": "me", "me": True}]}, {}, True),
        ({"driveId": "d", "lastModifyingUser": BO}, {"driveId": "d"}, False),
        ({"driveId": "d", "lastModifyingUser": BO}, {"driveId": "e", "permissionIds": ["bo"]}, False),
        ({"driveId": "d", "lastModifyingUser": {"me": True}}, {"driveId": "d"}, False),
        ({"driveId": "d"}, FOR_ALL, True),
        ({"driveId": "d"}, {"permissionIds": [""]}, False),
        ({}, {}, False),
    ],
)
def test_of_whoever_put_a_shortcut_there(
    shortcut: dict[str, Any], target: dict[str, Any], answer: bool
) -> None:
    assert is_owners(shortcut, target) is answer


@pytest.mark.parametrize(
    ("shortcut", "target", "answer"),
    [
        (["ann", "bo"], ["bo", "ann", "carl"], True),
        (["ann", "group"], ["ann", "group"], True),
        (["ann", "bo"], ["ann"], False),
        (["ann", "anyoneWithLink"], ["ann"], False),
        (["ann"], [], False),
        ([], ["ann"], False),
        ([""], [""], False),
        (None, None, False),
        (["ann"], None, False),
    ],
)
def test_of_everybody_who_sees_a_shortcut(
    shortcut: list[str] | None, target: list[str] | None, answer: bool
) -> None:
    """Also in one shared drive: what lies there may be given to some, or kept from some."""
    there = {"driveId": "d"}
    assert is_within(_told(there, shortcut), _told(there, target)) is answer


def _told(told: dict[str, Any], readers: list[str] | None) -> dict[str, Any]:
    return told if readers is None else told | {"permissionIds": readers}
