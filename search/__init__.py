"""The search: which design to work on next. Pure: no I/O, no clock, no training."""
