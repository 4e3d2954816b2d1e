"""Campaigns as runs of experiment trackers: what is published, and one file for each place it goes to."""
