"""A LangGraph orchestrator that finds and calls its tools only through the gateway."""
