"""Agents propose and judge: the grammar planner, the LLM planner, and the critic's words."""
