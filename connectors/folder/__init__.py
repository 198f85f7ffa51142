"""The local folder: a front door that needs no account."""
