"""The worlds that the simulator serves: seeded chats in closed form, imported exports, and changes on top of either."""
