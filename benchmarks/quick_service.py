"""`lagged_service` that can recognise with `quick_engine`. Run by `platforms`."""

from __future__ import annotations

from benchmarks import lagged_service, quick_engine

if __name__ == "__main__":
    quick_engine.register()
    lagged_service.main()
