"""`tg-pipeline chats`: the registry of what is archived."""

import time
from typing import TYPE_CHECKING

import click

from tg_pipeline.cli.options import ChatCommand, echo, print_columns
from tg_pipeline.contracts.text import count, printable

if TYPE_CHECKING:
    from tg_pipeline.settings import Settings

COMING_UP_SECONDS = 60.0
"""How long a webserver is waited for that `tg-pipeline up` is starting."""


@click.group()
def chats() -> None:
    """Add, list, show and remove the chats that are archived (chats.yaml)."""


@chats.command(cls=ChatCommand)
@click.argument("chat")
@click.option("--slug", help="Name in paths and asset keys; default: the username.")
@click.option("--account", type=int, help="User id of the account to read it with; default: any that can.")
def add(chat: str, slug: str | None, account: int | None) -> None:
    """Register CHAT: @username, a t.me link, a numeric id or the title of one of your dialogs.

    Checks that the account can read it and remembers its id. Its partitions begin on the day of its first message.
    """
    from tg_pipeline.app.chats import register
    from tg_pipeline.cli.running import run
    from tg_pipeline.settings import load_settings

    settings = load_settings()
    entry, details = run(register(settings, chat, slug, account))
    since = f"history since {entry.start}" if entry.start else "no messages yet"
    named = f"{printable(name)} (id {entry.id})" if (name := entry.title or entry.username) else f"id {entry.id}"
    echo(f"Added {entry.slug}: {named}, {since}.")
    if entry.account is not None:
        echo(f"It belongs to account {entry.account}, whose message ids are its own; no other account reads it.")
    if details.migrated_from is not None:
        echo(
            f"It was a basic group before: its older history is a chat of its own. "
            f"To archive that too: tg-pipeline chats add {details.migrated_from} --slug {entry.slug}-before"
        )
    _reload(settings)


@chats.command(name="list")
def list_chats() -> None:
    """List the registered chats, and those that are disabled because their entry is wrong."""
    from tg_pipeline.app.chats import registry
    from tg_pipeline.settings import load_settings

    settings = load_settings()
    found = registry(settings)
    entries = found.chats
    if not entries and not found.disabled:
        echo(f"No chats yet ({settings.chats_path}). Add one: tg-pipeline chats add @name")
        return
    print_columns(
        ("slug", "chat", "id", "since", "title"),
        *((e.slug, e.chat, str(e.id or "?"), str(e.start or settings.start_date), e.title or "") for e in entries),
        *((e.name, *(e.fields.get(key, "?") for key in ("chat", "id")), "disabled", "") for e in found.disabled),
    )
    for entry in found.disabled:
        echo(f"{entry.name} is disabled: {entry.reason}")


@chats.command(cls=ChatCommand)
@click.argument("chat")
def show(chat: str) -> None:
    """Show a chat's entry and what of it is archived."""
    from tg_pipeline.app.archive import open_archive
    from tg_pipeline.app.chats import find_chat, registered
    from tg_pipeline.contracts.errors import InputError
    from tg_pipeline.settings import load_settings

    settings = load_settings()
    entry = find_chat(settings, chat)
    store = open_archive(settings)
    headers = [header for day in store.days(entry.slug) if (header := store.header(entry.slug, day))]
    if entry not in registered(settings):
        register = f"tg-pipeline chats add {entry.chat}"
        if not headers:
            raise InputError(
                f"chat: {chat!r} is not registered, and nothing of it is archived. To register it: {register}"
            )
        echo(f"{entry.slug} is not registered. To register it: {register}")
    else:
        for key, value in entry.model_dump(mode="json").items():
            echo(f"{key:10} {'-' if value is None else printable(str(value))}")
    if headers:
        messages = sum(header.message_count for header in headers)
        unsealed = sum(not header.sealed for header in headers)
        echo(
            f"archived   {count(len(headers), 'day')}, {headers[0].date} to {headers[-1].date}, "
            f"{count(messages, 'message')}, {count(unsealed, 'day')} still open"
        )
        echo(f"files      {store.where(entry.slug)}")
    else:
        echo("archived   nothing yet")


@chats.command()
@click.argument("slug")
def remove(slug: str) -> None:
    """Take SLUG off the registry. Its day files stay where they are."""
    from tg_pipeline.settings import load_settings
    from tg_pipeline.storage.registry_edit import remove_chat

    settings = load_settings()
    remove_chat(settings.chats_path, slug)
    echo(f"Removed {slug}. Its files stay.")
    _reload(settings)


def _reload(settings: "Settings") -> None:
    """A Dagster that is running shows the change at once; one that is not will at its start."""
    from tg_pipeline.app.running import up_since
    from tg_pipeline.dagster_client.webserver import (
        NobodyAnswers,
        WebserverError,
        is_up,
        reload_code_location,
        webserver_url,
    )

    url = webserver_url(settings.home)
    give_up = time.monotonic() + COMING_UP_SECONDS
    while up_since(settings.home) is not None and not is_up(url) and time.monotonic() < give_up:
        time.sleep(0.5)
    try:
        reload_code_location(url)
        echo(f"Dagster at {url} has taken it up.")
    except NobodyAnswers:
        echo("Dagster is not running; it will see the change when it starts.")
    except WebserverError as error:
        echo(f"Dagster is not reloaded: {error}")
