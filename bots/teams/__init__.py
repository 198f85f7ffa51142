"""Microsoft Teams: a recording in a conversation is answered there."""
