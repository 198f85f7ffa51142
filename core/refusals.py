"""Why a file can't be transcribed, in sentences for the person who shared it."""

from __future__ import annotations

from enum import StrEnum

from core.errors import Rejected


class Refusal(StrEnum):
    """One reason each: what happened, then what to do. `{...}` is filled in by `rejected`."""

    EMPTY = (
        "This file is empty: it has no content at all. The upload or the recording probably failed. "
        "Please check the original and share it again."
    )
    WEB_PAGE = (
        "This is a web page and not a recording. Most likely a sign-in page was saved instead of the file. "
        "Please open the link, sign in, download the recording itself and share that."
    )
    PLAYLIST = (
        "This is a playlist: it only says where a recording can be found. Please share the recording itself."
    )
    TEXT = "This file contains text and no sound. Please share the recording itself."
    DOCUMENT = "This is a document and not a recording. Please share the audio or video file itself."
    PICTURE = "This is a picture and not a recording. Please share the audio or video file itself."
    ARCHIVE = "This is a packed folder (such as ZIP). Please unpack it and share the recording inside."
    NO_AUDIO = (
        "This video has no sound track, so there is nothing to transcribe. "
        "Please check that sound was switched on for the recording, and share a version with sound."
    )
    SILENT = (
        "This recording is silent from beginning to end. Probably the microphone was muted or the wrong "
        "one was chosen. Please check that you can hear it, and share a version with sound."
    )
    TOO_SHORT = (
        "This recording holds less than a moment of sound, too little for a single word. "
        "Please check that it plays to the end, and share it again."
    )
    CUT = (
        "This file is incomplete: a part that is needed to play it is missing. The upload or the recording "
        "was probably interrupted. Please upload it again; if it doesn't play on your computer either, "
        "export it anew from the app that recorded it."
    )
    DAMAGED = (
        "This recording is damaged and nothing in it can be played. Please check that it plays on your "
        "computer, and upload it again."
    )
    UNKNOWN = (
        "This file is not a recording in any format that can be read here. Please convert it to a usual "
        "format such as MP3, M4A, WAV or MP4, and share that."
    )
    PROTECTED = (
        "This recording is copy-protected, so it plays only in the app it was bought in or made for. "
        "Please share an unprotected version."
    )
    TOO_LONG = (
        "This recording is longer than {limit}, which is the most that is accepted. "
        "Please split it and share the parts."
    )
    TOO_DEMANDING = (
        "Reading this recording takes far more computing power than a recording should. It may be damaged. "
        "Please convert it to MP3 or M4A and share that."
    )
    CRASHED = (
        "This recording is damaged in a way that makes it impossible to read. "
        "Please convert it to MP3 or M4A, or export it again, and share that."
    )

    def rejected(self, **facts: str) -> Rejected:
        """The error that carries this sentence to the sharer."""
        return Rejected(self.value.format(**facts))


def spoken_length(seconds: float) -> str:
    """A length as people say it: `12 hours`, `1 hour 30 minutes`, `45 seconds`."""
    whole = max(1, round(seconds))
    parts = ((whole // 3600, "hour"), (whole % 3600 // 60, "minute"), (whole % 60, "second"))
    said = [f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in parts if count]
    return " ".join(said[:2])


def clock(seconds: float) -> str:
    """A position as players show it: `0:07`, `3:12`, `1:03:12`."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
