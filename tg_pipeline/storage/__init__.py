"""Where days live: spools of unfinished reads, day files, progress, the registry of chats, and the proof of it all."""
