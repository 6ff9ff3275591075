"""The agent's tools, installed as zoomagent.tools. Keep this folder flat."""
