"""What the docks know of napari's layers: their stacks, their slices, where those came from."""
