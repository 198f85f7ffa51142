"""Transcript -> files, pure: one module or function per format."""
