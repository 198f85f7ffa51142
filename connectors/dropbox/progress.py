"""How far a recording is, as a tag on it: the one place that Dropbox has for that."""

from __future__ import annotations

import contextlib
import logging
from typing import Final

from dropbox.exceptions import ApiError

from connectors.dropbox.client import Account
from connectors.dropbox.root import metadata
from core.errors import ErniError

logger = logging.getLogger(__name__)

WORKING: Final = "transcribing"
DONE: Final = "transcribed"
FAILED: Final = "not_transcribed"
_ALL: Final = (WORKING, DONE, FAILED)


async def show(account: Account, file_id: str, tag: str) -> None:
    """Put a tag on a file instead of our others. Best effort: raises nothing of ours."""
    try:
        found = await metadata(account, file_id)
        if found is None or not found.path_lower:
            return
        await account.ask("files_tags_add", found.path_lower, tag)
        for other in _ALL:
            if other != tag:
                with contextlib.suppress(ApiError):  # it was not there
                    await account.ask("files_tags_remove", found.path_lower, other)
    except (ApiError, ErniError) as error:
        logger.info("a recording could not be tagged: %s", type(error).__name__)
