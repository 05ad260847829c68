"""Model files: reading and writing them, and converting those of others."""
