"""`erni-audio evaluate`: how far a transcript is from a reference, by the field's usual measures.

`reading` brings every format to `session.Session`, `pairing` finds pairs, `wording` decides what
counts as the same word, `scoring` computes the `figures`, `report` shows them, `command` is the command line.
The scoring packages (extra `evaluate`) are imported only when they are used.
"""
