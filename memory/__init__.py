"""The experiment memory: one SQLite file, its schema, its views and its search."""
