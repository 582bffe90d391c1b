"""What talks to a running Dagster from outside its definitions: its instance, its webserver, its processes."""
