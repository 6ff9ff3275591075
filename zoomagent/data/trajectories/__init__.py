"""Dialogues with crops, curated from annotated pictures."""
