"""What docks have in common: parts of their windows, threads, notifications, settings."""
