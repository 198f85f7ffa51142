"""Recognition engines, one module per provider, each behind the ports in `core.ports`."""
