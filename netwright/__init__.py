"""netwright: LLM-agent-driven discovery of neural architectures, with evidence."""

__version__ = "0.1.0"
