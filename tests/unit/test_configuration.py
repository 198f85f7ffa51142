"""The settings tables that people read are the settings that the service has."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.configuration import BEGIN, END, main, render, replaced, settings_classes
from core.errors import Misconfigured
from core.registry import ADAPTERS
from core.settings import Settings


class Door(BaseSettings):
    """How a door | is opened.

    More, which is not for the table.
    """

    model_config = SettingsConfigDict(env_prefix="door_")

    token: SecretStr = Field(SecretStr("hush"), description="Opens it.")
    keys: tuple[SecretStr, ...] = Field((SecretStr("hush"),), alias="KEYS")
    needed: str = Field(alias="NEEDED", description="Line one\nand <b>|two|</b>.")
    needed_secret: SecretStr | None = Field(alias="NEEDED_SECRET")
    either: bool = Field(True, validation_alias=AliasChoices("FIRST", "SECOND"))
    kind: bool | Literal["auto", "never"] = Field("auto", alias="KIND", description="Which.")
    room: int = Field(3 * 2**20, alias="ROOM")
    several: tuple[str, ...] = Field(("a", "b"), alias="SEVERAL")
    nothing: str | None = None


def rows(text: str) -> dict[str, str]:
    return {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}


def test_every_setting_has_a_row_with_a_meaning() -> None:
    classes = settings_classes()
    assert Settings in classes
    assert len(classes) > len(ADAPTERS)
    found = rows(render(classes))
    assert len(found) == sum(len(kind.model_fields) for kind in classes)
    for row in found.values():
        assert len(row.split(" | ")) == 3
        assert len(row.split(" | ")[2]) > 10, f"no description: {row}"


def test_rows_say_variable_default_and_meaning() -> None:
    found = rows(render([Door]))
    assert found == {
        "DOOR_TOKEN": "| `DOOR_TOKEN` | unset (secret) | Opens it. |",
        "KEYS": "| `KEYS` | unset (secret) |  |",
        "NEEDED": r"| `NEEDED` | **required** | Line one and &lt;b>\|two\|&lt;/b>. |",
        "NEEDED_SECRET": "| `NEEDED_SECRET` | **required** (secret) |  |",
        "FIRST": "| `FIRST` | `true` |  |",
        "KIND": "| `KIND` | `auto` | Which. One of `auto`, `never`, `true`, `false`. |",
        "ROOM": "| `ROOM` | `3145728` (3 MiB) |  |",
        "SEVERAL": "| `SEVERAL` | `a,b` |  |",
        "DOOR_NOTHING": "| `DOOR_NOTHING` | unset |  |",
    }
    assert "hush" not in render([Door])
    assert r"**How a door \| is opened.**" in render([Door])


def test_the_tables_are_the_same_on_every_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = render([Settings])
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", "/elsewhere")
    monkeypatch.setenv("REDIS_URL", "redis://:hush@db.test")
    monkeypatch.setenv("ERNI_HTTP_PORT", "1")
    assert render([Settings]) == before
    assert "`~/.local/share/erni-audio`" in before


def test_writing_makes_it_current_and_touches_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"# Title\n{BEGIN}\nstale words\n{END}\nafter\n")
    assert main(["--check", str(file)]) == 1
    assert "make configuration" in capsys.readouterr().err
    assert main(["--write", str(file)]) == 0
    assert main(["--check", str(file)]) == 0
    text = file.read_text()
    assert text.startswith(f"# Title\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "`ERNI_DATA_DIR`" in text
    assert "stale words" not in text
    written = file.stat().st_mtime_ns
    assert main(["--write", str(file)]) == 0
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize("document", ["", BEGIN, END, END + BEGIN, BEGIN + END + END, BEGIN + END + BEGIN])
def test_markers_must_be_there_once_and_in_order(document: str) -> None:
    with pytest.raises(Misconfigured, match="once"):
        replaced(document, "tables")


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(tmp_path / "none.md")]) == 2
    assert "none.md" in capsys.readouterr().err
