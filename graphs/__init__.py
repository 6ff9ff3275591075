"""The state machines, installed as zoomagent.graphs. Keep this folder flat.

Checkpoints are read strictly: they hold plain JSON, and nothing they name is ever run. LangGraph reads this
variable when it is first imported, so it is set here; set it yourself where LangGraph is imported before
zoomagent.
"""

import os

os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
