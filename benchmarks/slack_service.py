"""`lagged_service` that can recognise with `quick_engine`. Run by `slack` through `benchmarks.service`."""

from __future__ import annotations

from benchmarks import lagged_service, quick_engine

if __name__ == "__main__":
    quick_engine.register()
    lagged_service.main()
