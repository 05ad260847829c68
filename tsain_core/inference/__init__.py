"""One slice from two: models, and what they share: tiles, cost, ensembles, intensity range."""
