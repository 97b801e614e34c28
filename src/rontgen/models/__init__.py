"""The architectures of the five studies, and model files."""
