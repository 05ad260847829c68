"""How good computed slices are: scores, pictures, reports."""
