"""Folder front doors: one folder per platform."""
