"""One day file written: what a read and the file that is there become together, and when the file stays as it is."""

import dataclasses
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import date

import orjson
from upath import UPath

from tg_pipeline.contracts.archive import DayRead, Judge, Verdict
from tg_pipeline.contracts.day_file import SCHEMA_VERSION, SOURCE, Condition, DayHeader
from tg_pipeline.contracts.day_lines import DayIndex, message_id
from tg_pipeline.contracts.errors import StorageError, WrongAccount, other_account_hint
from tg_pipeline.contracts.fetch import CommittedDay
from tg_pipeline.machine.atomic import replace
from tg_pipeline.storage.deletions import Deletions
from tg_pipeline.storage.layout import SECTIONS, ContentHash, DayReader, head_bytes, open_day_file, write_day
from tg_pipeline.storage.merge import Merge
from tg_pipeline.storage.ownership import anothers


@dataclass(frozen=True)
class Draft:
    """What is to become of a day file, as in `Archive.commit`. `deleted_at` and `decoded` as in Merge.

    Without `conditions` it is an amendment, and the file keeps its own.
    """

    slug: str
    chat_id: int
    day: date
    sealed: bool
    read: DayRead
    deleted_at: str | None
    account: int | None = None
    conditions: Sequence[Condition] | None = None
    also: Sequence[Condition] = ()
    accept_deletions: bool = False
    judge: Judge = field(default_factory=lambda: Deletions(ended=True).judge)
    covers: Callable[[int], bool] | None = None
    decoded: Collection[int] = ()

    def merge(self) -> Merge:
        """A merge with the file, for one pass."""
        hidden = next((c for c in self.conditions or () if c.kind == "not_visible"), None)
        return Merge(self.deleted_at, hidden=hidden, covers=self.covers, decoded=self.decoded)


def put(path: UPath, draft: Draft) -> CommittedDay:
    """Write the file in two passes over read and file: one to know the header, which comes first, and one to write.

    Raises as `Archive.commit`. The caller must hold the lock of the file's directory.
    """
    read = draft.read
    merge = draft.merge()
    content_hash = ContentHash()
    with open_day_file(path) as reader:
        if reader is None:
            content_hash.add(read.chunks())
            people: dict[int, bytes] = {}
        else:
            _refuse_foreign(reader, draft)
            try:
                content_hash.add(merge.lines(reader.section("messages"), read.lines()))
                deque(reader.section("threads"), maxlen=0)
                people = {orjson.loads(line)["id"]: line for line in reader.section("participants")}
            except (ValueError, KeyError, TypeError) as error:
                raise reader.damaged(str(error)) from error
        head = reader.head if reader else b""
        found = reader.header if reader else None
    account = draft.account
    if found is not None and not _is_shown(merge, found, draft):
        if draft.conditions is None:
            account = found.account
        elif not draft.accept_deletions:
            lacking = merge.deleted + merge.hidden
            return _hold_back(path, draft, found, Condition(kind="held_back", count=lacking, account=account), head)
    if not draft.accept_deletions and draft.conditions is not None:
        match draft.judge(draft.day, merge.deleted, merge.deleted + merge.matched):
            case Verdict.HELD_BACK if found is not None:
                return _add_only(path, draft, found, merge.deleted)
            case Verdict.UNDECIDED if found is not None:
                unwritten = receipt_of(path, found, size_bytes=path.stat().st_size, changed=False)
                return dataclasses.replace(unwritten, undecided=True)
    index = _index_of_lines(path, draft) if merge.index_is_stale else read.index.joined(merge.kept)
    people = _described(people, read.participants())
    participants = [people[number] for number in sorted(people) if number in index.authors]
    threads = list(index.thread_lines())
    content_hash.add(threads)
    content_hash.add(participants)
    ids = [number for number in (read.first_id, read.last_id, *merge.kept_ids[:1], *merge.kept_ids[-1:]) if number]
    header = DayHeader(
        schema_version=SCHEMA_VERSION,
        source=SOURCE,
        chat=draft.slug,
        chat_id=draft.chat_id,
        account=account,
        date=draft.day,
        timezone="UTC",
        sealed=draft.sealed or (found is not None and found.sealed),
        message_count=read.message_count + len(merge.kept_ids),
        first_message_id=min(ids, default=None),
        last_message_id=max(ids, default=None),
        conditions=_conditions(draft, found, merge),
        content_sha256=content_hash.hex(),
    )
    changed = head != head_bytes(header)
    if changed:
        with open_day_file(path) as reader, replace(path) as stream:
            messages = draft.merge().lines(reader.section("messages"), read.lines()) if reader else read.chunks()
            write_day(stream, header, (messages, threads, participants))
            size = stream.tell()
    else:
        size = path.stat().st_size
    done = receipt_of(path, header, size_bytes=size, changed=changed)
    return dataclasses.replace(
        done, added=read.message_count - merge.matched, edited=merge.edited, deleted=merge.deleted
    )


def _described(known: dict[int, bytes], read: dict[int, bytes]) -> dict[int, bytes]:
    """Everybody as first described by a name: a new one does not change old days."""
    named = {number: line for number, line in known.items() if orjson.loads(line)["name"] is not None}
    return known | read | named


def receipt_of(path: UPath, header: DayHeader, *, size_bytes: int, changed: bool) -> CommittedDay:
    """As of a commit that added, edited and deleted nothing."""
    return CommittedDay(
        day=header.date,
        path=str(path),
        message_count=header.message_count,
        first_message_id=header.first_message_id,
        last_message_id=header.last_message_id,
        content_sha256=header.content_sha256,
        sealed=header.sealed,
        size_bytes=size_bytes,
        changed=changed,
        conditions=tuple(header.conditions),
    )


def _conditions(draft: Draft, found: DayHeader | None, merge: Merge) -> list[Condition]:
    """Those of the read; of messages that are hidden, how many the file has; and the placeholders in it."""
    unreadable = sorted((draft.read.unreadable - merge.known_ids) | merge.unreadable)
    found_now = [
        Condition(kind="unreadable", count=len(unreadable), first_id=unreadable[0], last_id=unreadable[-1])
        for _ in unreadable[:1]
    ]
    if draft.conditions is None:
        known_anew = {"unreadable", *(c.kind for c in draft.also)}
        return [*(c for c in (found.conditions if found else ()) if c.kind not in known_anew), *found_now, *draft.also]
    return [
        c.model_copy(update={"count": merge.hidden}) if c.kind == "not_visible" and merge.hidden else c
        for c in draft.conditions
    ] + found_now


def _is_shown(merge: Merge, found: DayHeader, draft: Draft) -> bool:
    """Whether the file is shown to be the account's, where it has messages and does not say whose they are.

    It is where a message stands in both, and in a private dialog also where the account is one of its two authors.
    """
    if found.account is not None or draft.account is None or not found.message_count:
        return True
    if merge.other is not None:
        raise anothers(f"{draft.slug} on {draft.day}", draft.account, merge.other)
    is_author = draft.chat_id > 0 and draft.account in merge.kept.authors
    return is_author or merge.matched > len(merge.known_ids)


def _add_only(path: UPath, draft: Draft, found: DayHeader, lacking: int) -> CommittedDay:
    """Hold back what the read says of the messages that it lacks, `lacking`; what it has is added."""
    condition = _noted_since(draft, found, Condition(kind="held_back", count=lacking))
    return put(path, dataclasses.replace(draft, sealed=False, deleted_at=None, conditions=None, also=[condition]))


def _noted_since(draft: Draft, found: DayHeader, condition: Condition) -> Condition:
    """The condition, since the first read that was held back."""
    before = next((c.since for c in found.conditions if c.kind == "held_back"), None)
    return condition.model_copy(update={"since": before or draft.deleted_at})


def _hold_back(path: UPath, draft: Draft, found: DayHeader, held_back: Condition, head: bytes) -> CommittedDay:
    """Leave the file as it is, apart from the condition that says so."""
    others = [c for c in found.conditions if c.kind != "held_back"]
    noted = _noted_since(draft, found, held_back)
    return _with_header(path, found.model_copy(update={"conditions": [*others, noted]}), head)


def seal(path: UPath, *, sealed: bool) -> CommittedDay | None:
    """Say that the day is sealed, or that it is not; None where there is no file. As `put`, it needs the lock."""
    with open_day_file(path) as reader:
        if reader is None:
            return None
        header, head = reader.header.model_copy(update={"sealed": sealed}), reader.head
    return _with_header(path, header, head)


def _with_header(path: UPath, header: DayHeader, head: bytes) -> CommittedDay:
    changed = head != head_bytes(header)
    if changed:
        with open_day_file(path) as reader, replace(path) as stream:
            if reader is None:
                raise StorageError(f"{path} was removed while it was read.")
            write_day(stream, header, map(reader.section, SECTIONS))
    return receipt_of(path, header, size_bytes=path.stat().st_size, changed=changed)


def _index_of_lines(path: UPath, draft: Draft) -> DayIndex:
    """The index of what the day file will hold, in a pass of its own."""
    index = DayIndex()
    with open_day_file(path) as reader:
        old = reader.section("messages") if reader else iter(())
        for line in draft.merge().lines(old, draft.read.lines()):
            index.add(message_id(line), orjson.loads(line))
    return index


def _refuse_foreign(reader: DayReader, draft: Draft) -> None:
    found = reader.header
    if (found.chat, found.chat_id, found.date) != (draft.slug, draft.chat_id, draft.day):
        raise reader.damaged(f"it holds {found.chat} ({found.chat_id}) on {found.date}")
    if found.account is not None and found.account != draft.account:
        raise WrongAccount(
            f"{draft.slug} on {draft.day} is archived as account {found.account} sees it, and was read with account "
            f"{draft.account}; the file was left as it was. {other_account_hint(found.account)}"
        )
