"""The only room that knows Telethon: connect, name a chat, read its pages, map them. Everything else sees contracts."""
