"""An operator that fails in whatever way it is told to. ConfigMaps with the label ``for: faulty`` tell it."""
