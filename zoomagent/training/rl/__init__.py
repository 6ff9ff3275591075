"""Reinforcement in two stages: information gap, then boxes."""
