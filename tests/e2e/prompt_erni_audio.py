"""`erni-audio` with the recogniser that costs nothing, and a door to Google Drive that looks around every
second (or every DRIVE_CHANGES seconds) where the real one takes half a minute."""

from __future__ import annotations

import os

import core.tending
from benchmarks.quick_engine import register
from connectors.gdrive import push
from connectors.gdrive.adapter import GDriveFolders
from connectors.gdrive.settings import GDriveSettings
from core.cli import main
from core.following import Rhythm
from core.ports import AdapterContext
from core.registry import ADAPTERS
from core.settings import load_settings


def create(context: AdapterContext) -> GDriveFolders:
    """For `core.registry.ADAPTERS`."""
    rhythm = Rhythm(changes=float(os.environ.get("DRIVE_CHANGES", "1")), settle=0.2)
    return GDriveFolders(context, load_settings(GDriveSettings), rhythm=rhythm)


if __name__ == "__main__":
    register()
    ADAPTERS["gdrive"] = "__main__:create"
    for module, name in ((core.tending, "_LOOK_SECONDS"), (push, "_ROUND")):
        setattr(module, name, 0.5)
    main()
