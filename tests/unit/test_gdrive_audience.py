"""Who may read a file, from what Drive tells."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.gdrive.audience import is_open, is_theirs

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
        ({"driveId": "d", "lastModifyingUser": BO}, {"driveId": "d"}, True),
        ({"driveId": "d", "lastModifyingUser": BO}, {"driveId": "e"}, False),
        ({"driveId": "d", "lastModifyingUser": BO}, {"driveId": "e", "permissionIds": ["bo"]}, True),
        ({"driveId": "d"}, {"permissionIds": [""]}, False),
        ({}, {}, False),
    ],
)
def test_through_a_shortcut(shortcut: dict[str, Any], target: dict[str, Any], answer: bool) -> None:
    assert is_theirs(shortcut, target) is answer
