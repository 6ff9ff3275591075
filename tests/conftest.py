"""What every test stands on: one thread per process (tiny tensors gain nothing from more), no way out to a network, and
no example of Hypothesis judged by the clock."""

import os

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["ZOOMAGENT_CONFIG"] = os.devnull  # nobody's own settings
os.environ.pop("ZOOMAGENT_MODEL", None)
os.environ["LANGSMITH_TRACING"] = "false"
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
