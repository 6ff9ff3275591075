"""The state machines, installed as zoomagent.graphs. Keep this folder flat."""
