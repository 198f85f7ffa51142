"""Slack: a recording shared in a conversation is answered in its thread."""
