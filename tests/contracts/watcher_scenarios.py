"""What people, platforms and crashes do to a watched folder, and what is to come of it. Data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the folder is watched. `delete`: transcripts go with their recordings, where that is offered."""

    backfill: bool = True
    delete: bool = True
    output: str = "beside"
    formats: str = "txt"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """`steps` are what happens, separated by semicolons: what people do (`upload a.mp3 one`, `replace`,
    `move`, `copy`, `remove`, `restore`, `edit`; `nothing` is an empty content), what the platform does
    (`lose cursors`, `repeat notices`, `quiet`, `loud`), what the service does (`look`, `answer`, `rest`, with
    seconds that pass before; `crash`; `away` for a store that misses one submit; `die` for a crash at some
    step of what follows, which is played for each such step; `start`, where that is not the first thing).

    `submitted` are the names of the recordings that were, `outputs` what lies there then: path -> what it
    says. `said` is what it says, where one of several files may have a name, or be submitted. `needs` is what
    the driver must offer.
    """

    steps: str
    submitted: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    said: str = ""
    options: Options = field(default_factory=Options)
    needs: str = ""


SCENARIOS: dict[str, Scenario] = {
    "a recording is answered beside it": Scenario(
        steps="upload a.mp3 one; rest",
        submitted="a.mp3",
        outputs={"a.transcript.txt": "one"},
    ),
    "deep inside it is too": Scenario(
        steps="upload x/y/a.mp3 one; rest",
        submitted="a.mp3",
        outputs={"x/y/a.transcript.txt": "one"},
    ),
    "outputs go to a subfolder where that is wanted": Scenario(
        steps="upload x/a.mp3 one; upload b.mp3 two; rest; replace b.mp3 three; rest",
        submitted="a.mp3 b.mp3 b.mp3",
        outputs={"x/Transcripts/a.transcript.txt": "one", "Transcripts/b.transcript.txt": "three"},
        options=Options(output="Transcripts"),
    ),
    "what is no recording is left alone": Scenario(
        steps="upload a.txt one; upload .b.mp3 two; upload .c/d.mp3 three; upload e.mp3.part four; "
        "upload f.transcript.json five; upload g.mp3.crdownload six; rest 4000",
        submitted="",
        outputs={"f.transcript.json": "five"},
    ),
    "a recording with a partial file beside it is still arriving": Scenario(
        steps="upload a.mp3.part x; upload a.mp3 one; look; upload b.mp3 two; rest; remove a.mp3.part; "
        "rest 30",
        submitted="b.mp3 a.mp3",
        outputs={"a.transcript.txt": "one", "b.transcript.txt": "two"},
    ),
    "also after a crash, whatever came first": Scenario(
        steps="upload a.mp3.part x; look; crash; upload a.mp3 one; upload b.mp3 two; upload b.mp3.part x; "
        "rest; crash; rest; replace a.mp3 three; rest; remove a.mp3.part; crash; rest 30; remove b.mp3.part; "
        "rest 30",
        submitted="a.mp3 b.mp3",
        outputs={"a.transcript.txt": "three", "b.transcript.txt": "two"},
    ),
    "a replaced recording gets a new transcript in the place of the old one": Scenario(
        steps="upload a.mp3 one; rest; replace a.mp3 two; rest; replace a.mp3 one; rest",
        submitted="a.mp3 a.mp3 a.mp3",
        outputs={"a.transcript.txt": "one"},
    ),
    "one that is replaced before it was answered is answered once": Scenario(
        steps="upload a.mp3 one; look; replace a.mp3 two; look; answer; rest",
        submitted="a.mp3 a.mp3",
        outputs={"a.transcript.txt": "two"},
    ),
    "a renamed recording is not done again": Scenario(
        steps="upload a.mp3 one; rest; move a.mp3 b.mp3; rest 4000",
        submitted="a.mp3",
        outputs={"a.transcript.txt": "one"},
    ),
    "nor is one that moves to another folder, nor a whole folder": Scenario(
        steps="upload a.mp3 one; upload x/b.mp3 two; rest; move a.mp3 z/a.mp3; move x y; rest 4000",
        submitted="a.mp3 b.mp3",
        outputs={"a.transcript.txt": "one", "y/b.transcript.txt": "two"},
    ),
    "one that is renamed before it was answered is answered where it is": Scenario(
        steps="upload a.mp3 one; look; move a.mp3 x/b.mp3; look; answer; rest 4000",
        submitted="a.mp3",
        outputs={"x/b.transcript.txt": "one"},
    ),
    "one that was renamed and then replaced has its transcript under its name": Scenario(
        steps="upload a.mp3 one; rest; move a.mp3 b.mp3; rest 4000; replace b.mp3 two; rest",
        submitted="a.mp3 b.mp3",
        outputs={"b.transcript.txt": "two"},
        needs="lasting ids",
    ),
    "two that swap names are not done again": Scenario(
        steps="upload a.mp3 one; upload b.mp3 two; rest; move a.mp3 c.mp3; move b.mp3 a.mp3; "
        "move c.mp3 b.mp3; rest 4000",
        submitted="a.mp3 b.mp3",
        outputs={"a.transcript.txt": "one", "b.transcript.txt": "two"},
    ),
    "a copy is answered too": Scenario(
        steps="upload a.mp3 one; rest; copy a.mp3 b.mp3; rest; copy b.mp3 x/a.mp3; rest",
        submitted="a.mp3 b.mp3 a.mp3",
        outputs={"a.transcript.txt": "one", "b.transcript.txt": "one", "x/a.transcript.txt": "one"},
    ),
    "recordings of one name keep their transcripts apart": Scenario(
        steps="upload a.mp3 one; upload a.wav two; rest; upload b.mp3 three; rest; upload b.wav four; rest",
        submitted="a.mp3 a.wav b.mp3 b.wav",
        outputs={
            "a.mp3.transcript.txt": "one",
            "a.wav.transcript.txt": "two",
            "b.transcript.txt": "three",
            "b.wav.transcript.txt": "four",
        },
    ),
    "also where several files may have the same name": Scenario(
        steps="upload a.mp3 one; rest; upload a.mp3 two; rest; upload a.mp3 three; rest",
        submitted="a.mp3 a.mp3 a.mp3",
        outputs={
            "a.transcript.txt": "one",
            "a.mp3.transcript.txt": "two",
            "a.mp3.transcript (2).txt": "three",
        },
        needs="same names",
    ),
    "what came in the place of a deleted one takes over its transcript": Scenario(
        steps="upload a.mp3 one; rest; remove a.mp3; upload a.mp3 two; rest 4000",
        submitted="a.mp3 a.mp3",
        outputs={"a.transcript.txt": "two"},
    ),
    "should the deleted one come back, it is answered again": Scenario(
        steps="upload a.mp3 one; rest; remove a.mp3; upload a.mp3 two; rest 4000; restore a.mp3; rest",
        submitted="a.mp3 a.mp3 a.mp3",
        outputs={"a.transcript.txt": "two", "a.transcript (2).txt": "one"},
        needs="same names",
    ),
    "what was deleted and is uploaded elsewhere has moved": Scenario(
        steps="upload a.mp3 one; rest; upload x/a.mp3 one; remove a.mp3; rest 4000",
        submitted="a.mp3",
        outputs={"a.transcript.txt": "one"},
    ),
    "but what was taken elsewhere keeps its transcript": Scenario(
        steps="upload a.mp3 one; upload b.mp3 two; rest; move a.mp3 ../a.mp3; move b.mp3 ../b.mp3; "
        "upload a.mp3 three; upload x/b.mp3 two; rest 4000",
        submitted="a.mp3 b.mp3 a.mp3 b.mp3",
        outputs={
            "a.transcript.txt": "one",
            "a.transcript (2).txt": "three",
            "b.transcript.txt": "two",
            "x/b.transcript.txt": "two",
        },
        needs="lasting ids",
    ),
    "a failure leaves a note, which a transcript takes away": Scenario(
        steps="upload a.mp3 bad; upload b.mp3 bad2; rest; replace a.mp3 good; rest",
        submitted="a.mp3 b.mp3 a.mp3",
        outputs={"a.transcript.txt": "good", "b.transcript-error.txt": "note"},
    ),
    "a failure is tried again when the file is put there anew": Scenario(
        steps="upload a.mp3 bad; rest; remove a.mp3; upload a.mp3 bad; rest",
        submitted="a.mp3 a.mp3",
        outputs={"a.transcript-error.txt": "note"},
    ),
    "but not by itself": Scenario(
        steps="upload a.mp3 bad; rest 4000; crash; rest 50000",
        submitted="a.mp3",
        outputs={"a.transcript-error.txt": "note"},
    ),
    "an empty recording may still be filled and is waited for": Scenario(
        steps="upload a.mp3 nothing; rest; crash; rest; replace a.mp3 one; rest 4000",
        submitted="a.mp3",
        outputs={"a.transcript.txt": "one"},
    ),
    "one that stays empty leaves a note": Scenario(
        steps="upload a.mp3 nothing; rest 70; crash; rest 4000",
        submitted="a.mp3",
        outputs={"a.transcript-error.txt": "note"},
    ),
    "which goes when it is filled": Scenario(
        steps="upload a.mp3 nothing; rest 70; replace a.mp3 one; rest 70",
        submitted="a.mp3 a.mp3",
        outputs={"a.transcript.txt": "one"},
    ),
    "what a person wrote stays": Scenario(
        steps="upload a.mp3 one; rest; edit a.transcript.txt mine; replace a.mp3 two; rest; "
        "replace a.mp3 three; rest",
        submitted="a.mp3 a.mp3 a.mp3",
        outputs={"a.transcript.txt": "mine", "a.transcript (2).txt": "three"},
    ),
    "also what lay there before": Scenario(
        steps="upload a.transcript.txt mine; upload a.mp3 one; rest",
        submitted="a.mp3",
        outputs={"a.transcript.txt": "mine", "a.transcript (2).txt": "one"},
    ),
    "a transcript goes with its recording": Scenario(
        steps="upload a.mp3 one; upload b.mp3 bad; rest; remove a.mp3; remove b.mp3; rest 4000",
        submitted="a.mp3 b.mp3",
        outputs={},
        needs="deleting",
    ),
    "but not what a person made of it": Scenario(
        steps="upload a.mp3 one; rest; edit a.transcript.txt mine; remove a.mp3; rest 4000",
        submitted="a.mp3",
        outputs={"a.transcript.txt": "mine"},
        needs="deleting",
    ),
    "nor where it is to stay": Scenario(
        steps="upload a.mp3 one; rest; remove a.mp3; rest 4000; restore a.mp3; rest",
        submitted="a.mp3",
        outputs={"a.transcript.txt": "one"},
        options=Options(delete=False),
    ),
    "nor when the recording moved out of sight": Scenario(
        steps="upload a.mp3 one; rest; move a.mp3 ../a.mp3; rest 4000; move ../a.mp3 b.mp3; rest",
        submitted="a.mp3",
        outputs={"a.transcript.txt": "one"},
    ),
    "a recording that comes back from the bin is answered again": Scenario(
        steps="upload a.mp3 one; rest; remove a.mp3; rest 4000; restore a.mp3; rest",
        submitted="a.mp3 a.mp3",
        outputs={"a.transcript.txt": "one"},
        needs="deleting",
    ),
    "one that was deleted before it was answered leaves nothing": Scenario(
        steps="upload a.mp3 one; look; remove a.mp3; look 4000; answer; rest",
        submitted="a.mp3",
        outputs={},
        needs="deleting",
    ),
    "what lay there at first is left alone until it changes": Scenario(
        steps="upload a.mp3 one; upload b.mp3 two; start; rest; upload c.mp3 three; move a.mp3 d.mp3; rest; "
        "replace b.mp3 four; crash; rest",
        submitted="c.mp3 b.mp3",
        outputs={"b.transcript.txt": "four", "c.transcript.txt": "three"},
        options=Options(backfill=False),
    ),
    "unless it is wanted": Scenario(
        steps="upload a.mp3 one; upload x/b.mp3 two; start; rest",
        submitted="a.mp3 b.mp3",
        outputs={"a.transcript.txt": "one", "x/b.transcript.txt": "two"},
    ),
    "a crash before the answer loses and doubles nothing": Scenario(
        steps="upload a.mp3 one; look; crash; upload b.mp3 two; rest; crash; replace a.mp3 three; rest",
        submitted="a.mp3 b.mp3 a.mp3",
        outputs={"a.transcript.txt": "three", "b.transcript.txt": "two"},
    ),
    "what happened while it was off is caught up with": Scenario(
        steps="upload a.mp3 one; upload b.mp3 two; upload c.mp3 three; rest; crash; replace a.mp3 four; "
        "move b.mp3 x/b.mp3; remove c.mp3; upload d.mp3 five; rest 4000",
        submitted="a.mp3 b.mp3 c.mp3 a.mp3 d.mp3",
        outputs={"a.transcript.txt": "four", "b.transcript.txt": "two", "d.transcript.txt": "five"},
        needs="deleting",
    ),
    "a store that is away loses nothing": Scenario(
        steps="upload a.mp3 one; away; rest; crash; rest",
        submitted="a.mp3",
        outputs={"a.transcript.txt": "one"},
    ),
    "a crash while a share is handed over repeats it": Scenario(
        steps="upload a.mp3 one; upload b.mp3 two; dead; look; crash; rest",
        submitted="a.mp3 b.mp3",
        outputs={"a.transcript.txt": "one", "b.transcript.txt": "two"},
    ),
    "a lost cursor costs a listing": Scenario(
        steps="upload a.mp3 one; upload b.mp3 two; upload c.mp3 three; rest; lose cursors; "
        "replace a.mp3 four; remove b.mp3; move c.mp3 x/c.mp3; upload d.mp3 five; rest 4000",
        submitted="a.mp3 b.mp3 c.mp3 a.mp3 d.mp3",
        outputs={"a.transcript.txt": "four", "c.transcript.txt": "three", "d.transcript.txt": "five"},
        needs="cursors",
    ),
    "also one that is lost while it is off": Scenario(
        steps="upload a.mp3 one; upload b.mp3 two; rest; crash; lose cursors; remove a.mp3; rest 4000",
        submitted="a.mp3 b.mp3",
        outputs={"b.transcript.txt": "two"},
        needs="cursors",
    ),
    "what is told twice is done once": Scenario(
        steps="upload a.mp3 one; repeat notices; rest; replace a.mp3 two; repeat notices; rest; "
        "remove a.mp3; upload b.mp3 three; repeat notices; rest 4000",
        submitted="a.mp3 a.mp3 b.mp3",
        outputs={"b.transcript.txt": "three"},
        needs="notices",
    ),
    "what is not told is found by listing": Scenario(
        steps="upload a.mp3 one; upload b.mp3 two; upload c.mp3 three; rest; quiet; replace a.mp3 four; "
        "remove b.mp3; move c.mp3 e.mp3; upload d.mp3 five; loud; rest 50000; look 4000",
        submitted="a.mp3 b.mp3 c.mp3 a.mp3 d.mp3",
        outputs={"a.transcript.txt": "four", "c.transcript.txt": "three", "d.transcript.txt": "five"},
        needs="notices",
    ),
    # walks at random that once ended badly
    "of several that may be the one that went, one is": Scenario(
        steps="upload a.mp3 one; rest; remove a.mp3; upload b.mp3 one; upload c.mp3 one; die; look; "
        "rest 4000",
        said="one one",
        needs="deleting",
    ),
    "a recording and its copies come and go": Scenario(
        steps="upload a.mp3 one; look; copy a.mp3 b.mp3; remove a.mp3; copy b.mp3 c.mp3; remove b.mp3; look; "
        "restore a.mp3; remove c.mp3; restore b.mp3; look; restore c.mp3; rest 4000",
        said="one one one",
    ),
    "a copy that took the place of one that went has its transcript when that comes back": Scenario(
        steps="upload a.mp3 one; rest; copy a.mp3 b.mp3; remove a.mp3; rest 4000; restore a.mp3; rest; "
        "remove a.mp3; rest 4000",
        said="one",
        needs="deleting",
    ),
    "also before it was fetched, and with something else in it": Scenario(
        steps="upload a.mp3 one; look; copy a.mp3 b.mp3; remove a.mp3; look; restore a.mp3; "
        "replace a.mp3 two; rest 4000",
        said="one two",
    ),
    "the transcript of another recording does not answer a copy": Scenario(
        steps="upload a.mp3 one; rest; copy a.mp3 a.wav; rest",
        submitted="a.mp3 a.wav",
        outputs={"a.transcript.md": "one", "a.wav.transcript.md": "one"},
        options=Options(formats="md"),
    ),
    "also if that changes meanwhile": Scenario(
        steps="upload a.mp3 one; rest; copy a.mp3 a.wav; replace a.mp3 two; rest",
        submitted="a.mp3 a.wav a.mp3",
        outputs={"a.transcript.md": "two", "a.wav.transcript.md": "one"},
        options=Options(formats="md"),
        needs="lasting ids",
    ),
    "nor does it serve it under a name that was that of the original": Scenario(
        steps="upload a.mp3 one; rest; move a.mp3 b.mp3; rest; copy b.mp3 a.mp3; rest",
        submitted="a.mp3 a.mp3",
        outputs={"a.transcript.txt": "one", "a.transcript (2).txt": "one"},
    ),
    "so it does not go with the copy": Scenario(
        steps="upload a.mp3 one; rest; move a.mp3 b.mp3; rest; copy b.mp3 a.mp3; rest; remove a.mp3; "
        "rest 4000",
        submitted="a.mp3 a.mp3",
        outputs={"a.transcript.txt": "one"},
        needs="deleting",
    ),
    "what was there and went again without being told leaves nothing": Scenario(
        steps="upload a.mp3 one; look; quiet; remove a.mp3; lose; look; restore a.mp3; look 4000; "
        "remove a.mp3; loud; look 30000; rest 4000",
        submitted="a.mp3",
        outputs={},
        needs="notices",
    ),
    "a copy has its transcript if the original is replaced by another file": Scenario(
        steps="upload a.mp3 one; rest; copy a.mp3 b.mp3; remove a.mp3; upload a.mp3 two; rest 4000",
        said="one two",
    ),
    "what came under a name that was used before does not make others forgotten": Scenario(
        steps="upload a.mp3 one; rest; remove a.mp3; rest 4000; upload a.mp3 two; rest; upload b.mp3 one; "
        "rest",
        submitted="a.mp3 a.mp3 b.mp3",
        outputs={"a.transcript.txt": "one", "a.transcript (2).txt": "two", "b.transcript.txt": "one"},
        options=Options(delete=False),
    ),
    "one whose name another one took before it was fetched is answered": Scenario(
        steps="upload a.wav one; look; move a.wav a.mp3; upload a.wav two; answer; rest 4000",
        said="one two",
    ),
    "one that was away when it was to be fetched is answered when it is back": Scenario(
        steps="upload a.mp3 one; look; move a.mp3 ../a.mp3; answer; rest 4000; move ../a.mp3 b.mp3; rest",
        said="one",
    ),
    "a crash at any step of a look loses and doubles nothing": Scenario(
        steps="upload a.mp3 one; upload b.mp3 two; upload c.mp3 three; rest; replace a.mp3 four; "
        "move b.mp3 x/b.mp3; remove c.mp3; upload c.mp3 five; upload d.mp3 six; die; look 4000; rest 4000",
        said="four two five six",
    ),
    "nor does one at any step of an answer": Scenario(
        steps="upload a.mp3 one; upload b.mp3 bad; upload c.mp3 three; rest; replace a.mp3 four; "
        "replace b.mp3 five; move c.mp3 d.mp3; replace d.mp3 bad2; look; die; answer; rest",
        said="four five three note",
    ),
}
