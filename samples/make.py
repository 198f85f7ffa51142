"""Makes the sample recording and its reference: `python samples/make.py`.

Needs the speech synthesiser flite (`apt-get install flite`) and PyAV. The text is ours and below; who speaks
when is exact, because every line is synthesised on its own and then placed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import wave
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

HERE = Path(__file__).resolve().parent
RATE = 16000
BIT_RATE = 48_000
VOICES = {"Anna": "slt", "Mark": "rms", "Ian": "awb"}
LOUDNESS = {"Anna": 0.11, "Mark": 0.10, "Ian": 0.10}  # root mean square; nobody sits equally far away
NOISE = 0.0006  # a quiet room


@dataclass(frozen=True, slots=True)
class Line:
    """What somebody says, `pause` seconds after the line before it ended; a negative pause overlaps it."""

    speaker: str
    text: str
    pause: float = 0.5


SCRIPT = (
    Line("Anna", "Good morning everyone. Thank you for coming on such short notice.", 0.8),
    Line(
        "Anna", "We have two things to decide today, the new office and the date of the product launch.", 0.4
    ),
    Line("Mark", "Good morning Anna.", 0.4),
    Line("Ian", "Good morning.", 0.3),
    Line("Anna", "Let us start with the office. Mark, what did you find out?", 0.6),
    Line("Mark", "I looked at three buildings last week. The first one is too small for the whole team."),
    Line("Mark", "The second one is close to the station, and the rent is lower than we expected.", 0.4),
    Line("Ian", "How much lower?", 0.3),
    Line("Mark", "About twenty percent. But we would have to sign for five years.", 0.4),
    Line("Anna", "Okay.", -0.35),
    Line("Ian", "Five years is a long time. I would like to talk to the bank before we sign anything.", 0.6),
    Line("Anna", "That makes sense. Can you call the bank on Monday?", 0.4),
    Line("Ian", "Yes, I will call them on Monday morning, and send a message to both of you.", 0.4),
    Line("Anna", "Very good. Now the product launch. Are we still ready for the first of March?", 0.9),
    Line("Mark", "I do not think so. The last test failed on Friday, and we need two more weeks."),
    Line("Anna", "What was the problem?", 0.4),
    Line("Mark", "The battery gets too warm when people use the camera for more than ten minutes.", 0.4),
    Line("Ian", "I see. Our customers would not forgive us for that.", 0.4),
    Line("Anna", "No, they would not. So we move the launch to the middle of March.", 0.5),
    Line("Anna", "Does everybody agree?", 0.3),
    Line("Mark", "Yes.", 0.3),
    Line("Ian", "I agree.", 0.2),
    Line("Anna", "Then we are done. Thank you both, and have a good weekend.", 0.6),
)


def synthesise(line: Line, folder: Path) -> npt.NDArray[np.float64]:
    """The line as samples in -1..1, without the silence around it."""
    out = folder / "line.wav"
    command = ["flite", "-voice", VOICES[line.speaker], "-t", line.text, "-o", str(out)]
    subprocess.run(command, check=True)  # noqa: S603
    with wave.open(str(out), "rb") as source:
        if source.getframerate() != RATE:
            raise SystemExit(f"flite made {source.getframerate()} Hz, expected {RATE} Hz")
        audio = np.frombuffer(source.readframes(source.getnframes()), dtype="<i2") / 32768
    loud = np.flatnonzero(np.abs(audio) > 0.01 * np.abs(audio).max())
    audio = audio[loud[0] : loud[-1] + 1]
    scaled: npt.NDArray[np.float64] = audio * (LOUDNESS[line.speaker] / np.sqrt(np.mean(audio**2)))
    return scaled


def mix(folder: Path) -> tuple[npt.NDArray[np.float64], list[dict[str, object]]]:
    """The meeting, and its reference as SegLST entries."""
    placed: list[tuple[int, npt.NDArray[np.float64]]] = []
    reference: list[dict[str, object]] = []
    end = 0
    for line in SCRIPT:
        audio = synthesise(line, folder)
        start = end + round(line.pause * RATE)
        placed.append((start, audio))
        reference.append(
            {
                "session_id": "meeting",
                "speaker": line.speaker,
                "start_time": round(start / RATE, 3),
                "end_time": round((start + len(audio)) / RATE, 3),
                "words": line.text,
            }
        )
        end = max(end, start + len(audio))
    meeting = np.random.default_rng(1).normal(0, NOISE, end + RATE)
    for start, audio in placed:
        meeting[start : start + len(audio)] += audio
    return meeting, reference


def encode(audio: npt.NDArray[np.float64], path: Path) -> None:
    """Write the samples as AAC in an m4a, as phones record."""
    samples = np.clip(np.round(audio * 32767), -32768, 32767).astype(np.int16)[None, :]
    with av.open(str(path), "w", format="ipod") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono", bit_rate=BIT_RATE)
        for first in range(0, samples.shape[1], 1024):
            piece = np.ascontiguousarray(samples[:, first : first + 1024])
            frame = av.AudioFrame.from_ndarray(piece, format="s16", layout="mono")
            frame.sample_rate = RATE
            frame.pts = first
            frame.time_base = Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def main() -> None:
    """Write `meeting.m4a` and `meeting.seglst.json` beside this script."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            audio, reference = mix(Path(folder))
    except FileNotFoundError:
        raise SystemExit("flite is not installed. On Debian or Ubuntu: apt-get install flite") from None
    encode(audio, HERE / "meeting.m4a")
    text = json.dumps(reference, indent=1, ensure_ascii=False) + "\n"
    (HERE / "meeting.seglst.json").write_text(text, encoding="utf-8")
    sys.stdout.write(f"{len(audio) / RATE:.1f} s, {len(reference)} lines, {len(VOICES)} voices\n")


if __name__ == "__main__":
    main()
