"""Banners as custom resources, published as ConfigMaps."""
