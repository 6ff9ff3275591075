"""The nano model: its configuration and its training from random weights."""
