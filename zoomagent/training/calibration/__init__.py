"""Arbiters: records collected, heads fitted, a report."""
