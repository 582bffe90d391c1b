"""A folder for PYTHONPATH: a Python that starts with it refuses connections beyond loopback."""
