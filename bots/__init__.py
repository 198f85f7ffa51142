"""Chat front doors: one folder per platform."""
