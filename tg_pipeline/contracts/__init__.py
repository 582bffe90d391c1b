"""Models, policies, ports and the error tree. Pure: imports nothing else of the project."""
