"""What is claimed is measured here; each module is a command. See `benchmarks/README.md`."""
