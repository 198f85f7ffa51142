"""The commands of `erni-audio`, one module each; `core.cli` loads the one that is called."""
