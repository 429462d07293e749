"""The workspace opened by a command itself: its lock, its store, and who is acting."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any, Self

from pilotage import access, settings
from pilotage.access import Actor, Role
from pilotage.app.anchorage import places
from pilotage.console.rows import newest
from pilotage.errors import Denied, WorkspaceUnusable
from pilotage.governance.commands import Context, run
from pilotage.store.spool import Reader
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from pilotage.clock import Clock
    from pilotage.store.holdings import Holdings

MAKES_A_WORKSPACE = ("apply", "keys_create", "policy_apply")
"""Commands that may be the first one on a new workspace."""


def local_actor(user: str) -> Actor:
    """Return the actor of whoever may read the workspace's files: everything is theirs to do."""
    return Actor(id=f"local:{user}", roles=(Role.ADMIN,))


def is_in_use(fault: WorkspaceUnusable) -> bool:
    """Return whether another process has the workspace, which may soon be over."""
    return isinstance(fault.__context__, BlockingIOError)


class Local:
    """Holds the workspace's lock and its store; a context manager."""

    def __init__(self, path: Path, clock: Clock, user: str, *, key: str = "", prepare: bool = False) -> None:
        """Raise WorkspaceUnusable where there is no workspace (unless it may be made) or another process has it.

        With a key it is the key's person who acts, and Denied is raised where it is not good here.
        """
        self._clock, self._actor = clock, local_actor(user)
        workspace = Workspace(path)
        if prepare:
            workspace.prepare()
        else:
            workspace.require()
        with ExitStack() as stack:
            stack.enter_context(workspace.lock())
            self.store = SqliteStore(workspace.state)
            stack.callback(self.store.close)
            if key:
                self._actor = _actor_of(self.store, clock, key)
            self._workspace = workspace
            self._stack = stack.pop_all()

    def run(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        context = Context(self.store, self._clock, settings.environment, self._holdings, places(settings.anchors()))
        return run(context, self._actor, name, arguments)

    @contextmanager
    def _holdings(self) -> Iterator[Holdings]:
        """Give what is held of people, with what a killed server left in the spool sealed first."""
        from pilotage.store.events import EventsReader, Sealer, ingest
        from pilotage.store.holdings import Holdings
        from pilotage.store.texts import Texts

        with ExitStack() as stack:
            sealer = stack.enter_context(closing(Sealer(self._workspace.events, self.store)))
            ingest(Reader(self._workspace.spool), sealer, self.store)
            events = stack.enter_context(closing(EventsReader(self._workspace.events, self.store)))
            yield Holdings(self.store, events, Texts(self._workspace.texts), sealer.erase)

    def events(self, table: str, *, limit: int, use_case: str = "") -> list[dict[str, Any]]:
        """Return the newest events, those included that a killed server left in the spool."""
        # Late: DuckDB takes as long to import as a command takes to run.
        from pilotage.store.events import EventsReader, Sealer, ingest

        with closing(Sealer(self._workspace.events, self.store)) as sealer:
            ingest(Reader(self._workspace.spool), sealer, self.store)
        with closing(EventsReader(self._workspace.events, self.store)) as events:
            return newest(events, table, limit=limit, use_case=use_case)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _actor_of(store: SqliteStore, clock: Clock, secret: str) -> Actor:
    with store.read() as tx:
        key = tx.keys.get(access.key_id_of(secret))
    if key is None or not access.matches(key, secret) or not access.lives(key, clock.now()):
        raise Denied(
            "PILOTAGE_KEY is no good key of this workspace",
            hint="unset it to act as the local user, or name its own server with --server",
        )
    return access.actor_of(key)
