"""200 shares a minute in Teams: `python -m benchmarks.teams [--minutes 3] [--write]`.

`platforms` does it, with the Microsoft 365 of `teams_load`, which limits rates as Teams does, and tells of a
quarter of everything twice.
"""

from __future__ import annotations

from benchmarks.platforms import Platform, Scenario, run
from benchmarks.teams_load import AMONG_PEOPLE, CHANNELS, DIALOGS, GROUPS, PERSONAL, TO_APP

_SPREAD = f"{PERSONAL + GROUPS + CHANNELS} conversations"

_SETTING = f"""\
The real service with its own Valkey and its settings as they come (4 short jobs at once). People share
recordings at random moments, every one of them another file of {{minutes}} minutes (MP4, AAC), which keeps
the children that decode busy. Recognition is `quick_engine`, 2.5 words a second. The Microsoft 365 (login,
Bot Connector, Graph, files) is the tests' own, in a process of its own on the same processors. A third of the
recordings are sent to the app in {PERSONAL} chats with it, whose people accept both files that they are
offered; a third come with a mention of it in {GROUPS} group chats and {CHANNELS} channels; for a third
somebody uses the message command there, with one click. A quarter of everything that Teams tells the app is
delivered twice at once. Rates are limited as Teams publishes them (in each conversation 7 a second and 60 in
30 seconds, in all 30 a second)."""

_EXPLANATION = f"""\
**Acknowledged**: from when Teams begins to send something (each time over a new connection, signed anew)
until it has the answer. **{TO_APP.capitalize()}** are written down durably first; **{DIALOGS}** are those of
the message command, which are answered with a card, and those by which files are accepted; **{AMONG_PEOPLE}**
reach the app because of its consent to read them, and concern it only where everything is to be transcribed.
All contain how late the Microsoft 365's own process is, which competes for the same processors; its figures
are given beside. **Late**: a task that sleeps 10 ms over and over notes how much longer it took. **First
card**: since the message, or since the dialog was sent. **Without their transcript**: the card does not show
one, or its two files are not those that should be there: accepted in the chat with the app, elsewhere beside
the recording. In one channel, Teams takes no more than 2 calls a second, so transcripts wait for Teams there,
not for a worker."""

TEAMS = Platform(
    name="Teams",
    command="teams",
    api="Microsoft 365",
    reply="card",
    scenarios=(
        Scenario(name=_SPREAD, options={"where": "spread"}),
        Scenario(name="1 channel", part=1 / 6, options={"where": "channel"}),
    ),
    targets={f"{what} acknowledged after, p99 (ms)": "under 200" for what in (TO_APP, DIALOGS)},
    setting=_SETTING,
    explanation=_EXPLANATION,
)

if __name__ == "__main__":
    raise SystemExit(run(TEAMS, seconds=900))
