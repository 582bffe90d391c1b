"""The chats that commands name, as the registry has them now."""

import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tg_pipeline.contracts.accepted import AcceptedCommand
from tg_pipeline.contracts.chat import RegisteredChat
from tg_pipeline.contracts.commands import CommandError
from tg_pipeline.contracts.errors import InputError
from tg_pipeline.contracts.registry import Registry, chat_of_command, find_disabled, find_registered
from tg_pipeline.storage.registry_edit import add_chat

EDITING_SECONDS = 600.0
"""For so long after the registry was written, somebody may be correcting an entry that disables its chat."""


@dataclass(frozen=True, slots=True)
class CommandChats:
    """`registry` is that of the file `path`. `start` is the first day of a chat that names none.

    Where `may_register`, a command registers the chat that it names.
    """

    path: Path
    registry: Registry
    start: date
    may_register: bool

    def named(self, name: str) -> RegisteredChat:
        """The chat of a command. Raises CommandError: ChatDisabled, ChatNotRegistered."""
        chats = self.registry.chats
        chat = chat_of_command(self.registry, name, may_register=self.may_register)
        if chat in chats:
            return chat
        try:
            add_chat(self.path, chat)
        except InputError as error:
            raise CommandError("ChatNotRegistered", str(error), field="chat", value=name) from None
        chats.append(chat)
        return chat

    def start_of(self, slug: str) -> date | None:
        """The chat's first day; None where it is not registered."""
        found = next((chat for chat in self.registry.chats if chat.slug == slug), None)
        return (found.start or self.start) if found else None

    def is_being_edited(self, slug: str) -> bool:
        """Whether the chat is disabled by an entry that is so new that its commands wait for a better one."""
        if self.start_of(slug) is not None or find_disabled(self.registry.disabled, slug) is None:
            return False
        return self.path.exists() and time.time() - self.path.stat().st_mtime < EDITING_SECONDS

    def why_not(self, command: AcceptedCommand) -> tuple[str, str] | None:
        """Why a command that was accepted cannot be launched any more: the error's class, and a sentence."""
        if self.is_being_edited(command.slug):
            return None
        start = self.start_of(command.slug)
        if start is not None:
            late = command.last < start
            return ("BeforeStart", f"The chat's first day is {start} now, as chats.yaml says.") if late else None
        if disabled := find_disabled(self.registry.disabled, command.slug):
            return "ChatDisabled", disabled.reason
        renamed = find_registered(self.registry.chats, command.chat)
        now = f"is registered as {renamed.slug} now. Send the command again" if renamed else "left the registry"
        return "ChatNotRegistered", f"{command.slug} {now}."
