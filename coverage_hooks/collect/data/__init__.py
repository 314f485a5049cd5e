"""What recordings say: read, verified and merged, as lines and arcs by path."""
