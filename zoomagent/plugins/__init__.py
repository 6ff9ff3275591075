"""zoomagent inside other systems: MCP, LangChain, an OpenAI-compatible endpoint, tool schemas, and the page."""
