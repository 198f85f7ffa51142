"""Comments on a recording that say how its transcription goes."""

from __future__ import annotations

from typing import Final

from connectors.gdrive.client import DriveClient

BEGUN: Final = "Transcription has begun."
DONE: Final = "The transcript is ready."
FAILED: Final = "This could not be transcribed. A note in the folder says why, and what to do."

_PAGES: Final = 5


async def put(client: DriveClient, file_id: str, job: str, text: str) -> None:
    """Say so once; the reference tells which comments are about this job. Raises as `DriveClient.ask`."""
    content = f"{text}\nReference: {job}"
    token: str | None = None
    for _ in range(_PAGES):
        more = {} if token is None else {"pageToken": token}
        told = await client.ask(
            lambda drive, more=more: drive.comments().list(  # type: ignore[misc]
                fileId=file_id,
                pageSize=100,
                fields="nextPageToken,comments(content,author(me))",
                **more,
            )
        )
        for comment in told.get("comments", ()):
            if comment.get("content") == content and (comment.get("author") or {}).get("me"):
                return
        token = told.get("nextPageToken")
        if token is None:
            break
    await client.once(
        lambda drive, http: (
            drive.comments().create(fileId=file_id, body={"content": content}, fields="id").execute(http=http)
        )
    )
