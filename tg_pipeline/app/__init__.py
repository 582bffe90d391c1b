"""What the pipeline does, with everything joined as the settings say: fetch, log in, register chats, take commands."""
