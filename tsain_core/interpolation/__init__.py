"""Which slices come out, and computing them in order, into memory or a file."""
