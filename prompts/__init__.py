"""Prompts are data: one Markdown file per role, strict placeholders, hashed."""
