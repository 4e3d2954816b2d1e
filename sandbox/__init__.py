"""The sandbox: contains hostile code, starts it in milliseconds, and kills all it started."""
