"""Sentences that several commands say."""

from __future__ import annotations

from core.methods import Choice


def draft_notice(choice: Choice) -> str:
    """Why people get only a guess here, and what would make it better."""
    return f"Draft quality: only `{choice.methods[0]}` can run here, and its text is a guess. " + " ".join(
        choice.notes
    )
