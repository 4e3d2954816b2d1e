"""A campaign: expansions of the search tree, scheduled so that every training slot stays busy."""
