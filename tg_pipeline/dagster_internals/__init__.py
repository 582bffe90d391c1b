"""The one room that imports what Dagster does not publish. Each name says which public API it waits for."""
