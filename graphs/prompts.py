"""Moved to zoomagent/prompts.py; this name stays while the training code still imports it."""

from zoomagent.prompts import *  # noqa: F403
