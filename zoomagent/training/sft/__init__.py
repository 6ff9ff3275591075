"""Supervised fine-tuning on stored trajectories."""
