"""Telegram chats become daily, versioned, provably complete JSON files, orchestrated by Dagster."""
