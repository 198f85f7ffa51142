"""200 shares a minute in Slack: `python -m benchmarks.slack [--minutes 3] [--write]`.

`platforms` does it, with the Slack of `slack_load`, which is as strict about rates as Slack is, and tells of
a quarter of the shares twice.
"""

from __future__ import annotations

from benchmarks.platforms import Platform, Scenario, run

_SETTING = """\
The real service with its own Valkey and its settings as they come (4 short jobs at once, 4 for each
workspace). People share recordings at random moments in 40 channels, every one of them
another file of {minutes} minutes (MP4, AAC), which keeps the children that decode busy. Recognition is
`quick_engine`, 2.5 words a second. The Slack is the tests' own, in a process of its own on the same
processors. It limits rates as Slack publishes them (in each workspace `chat.update` 50 a minute, uploads and
`files.info` 100; `chat.postMessage` one a second in each channel), sends both `file_shared` and `message` in
either order, each twice for a quarter of the shares, and again what is not acknowledged within 3 s."""

_EXPLANATION = """\
**Acknowledged**: from when the Slack sends an event until it has the acknowledgement, for every event and
every repetition. That contains how late the Slack's own process is, which competes for the same processors;
its figures are given beside. **Late**: a task that sleeps 10 ms over and over notes how much longer it took.
**First reply**: by the time stamps of the two messages. **Without their transcript**: the answer does not
show one, or its two files are not those that should be in the thread. In one workspace, Slack takes no more
than 50 results a minute from anybody (each is a `chat.update`, and two uploads of 100), so transcripts wait
for Slack there, not for a worker."""

SLACK = Platform(
    name="Slack",
    command="slack",
    api="the Web API",
    reply="reply",
    scenarios=(
        Scenario(name="Socket Mode, 8 workspaces", options={"way": "socket", "workspaces": 8}),
        Scenario(name="HTTP, 8 workspaces", options={"way": "http", "workspaces": 8}),
        Scenario(name="Socket Mode, 1 workspace", part=1 / 3, options={"way": "socket", "workspaces": 1}),
    ),
    targets={"acknowledged after, p99 (ms)": "under 100", "first reply after, p99 (s)": "under 2"},
    setting=_SETTING,
    explanation=_EXPLANATION,
)

if __name__ == "__main__":
    raise SystemExit(run(SLACK, seconds=900))
