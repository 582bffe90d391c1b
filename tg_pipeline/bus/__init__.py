"""The platform's public interface: commands taken from a Redis list, events published to all subscribers."""
