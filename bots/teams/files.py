"""The cards with which Teams asks in a personal chat whether somebody wants a file, and shows it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bots.teams import presses
from core.fitting import fit
from core.registry import FORMATS
from core.wording import FORMAT_NAMES

CONSENT: Final = "application/vnd.microsoft.teams.card.file.consent"
FILE_INFO: Final = "application/vnd.microsoft.teams.card.file.info"

_NAME: Final = 200  # characters: OneDrive takes 400 with the folders


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """That somebody wants (`accepted`) or does not want a file of the transcript of `share`."""

    share: str
    format: str
    accepted: bool


def consent_card(name: str, size: int, *, share: str, format_name: str, late: bool = False) -> dict[str, Any]:
    """The attachment that asks whether a file of `size` bytes is wanted; `late`: once more, because it took
    too long after it was accepted."""
    again = " That took too long: please accept it once more." if late else ""
    context = {presses.SHARE: share, presses.CHOICE: format_name}
    return {
        "contentType": CONSENT,
        "name": fit(name, _NAME),
        "content": {
            "description": f"Transcript: {FORMAT_NAMES.get(format_name, format_name)}.{again}",
            "sizeInBytes": max(1, size),
            "acceptContext": context,
            "declineContext": context,
        },
    }


def read_consent(value: Any) -> Consent | None:
    """The answer in the value of a `fileConsent/invoke`; None if it is to none of our questions. Where the
    file is to go stands beside it in `uploadInfo`."""
    given = value if isinstance(value, Mapping) else {}
    context = given.get("context")
    if not isinstance(context, Mapping):
        return None
    share, wanted, action = presses.read_share(context), context.get(presses.CHOICE), given.get("action")
    if not isinstance(wanted, str) or not isinstance(action, str):
        return None
    if not share or wanted not in FORMATS or action not in {"accept", "decline"}:
        return None
    return Consent(share=share, format=wanted, accepted=action == "accept")


def file_card(name: str, *, unique_id: str, file_type: str, url: str) -> dict[str, Any]:
    """The attachment that shows an uploaded file, as its `uploadInfo` names it."""
    return {
        "contentType": FILE_INFO,
        "contentUrl": url,
        "name": name,
        "content": {"uniqueId": unique_id, "fileType": file_type},
    }
