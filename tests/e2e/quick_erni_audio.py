"""`erni-audio` with the recogniser that costs nothing, which the benchmarks use too."""

from benchmarks.quick_engine import register
from core.cli import main

if __name__ == "__main__":
    register()
    main()
