"""Known architectures as ordinary candidate files."""
