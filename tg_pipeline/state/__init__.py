"""What processes share and remember: leases and the cache of chats."""
