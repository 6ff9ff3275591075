"""LION: adapters for image and region tasks, a vision aggregator, and tags through a learned token."""
