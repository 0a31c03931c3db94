"""Wait for files to land: look again and again, act when something new has stopped growing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rfm.io.landing import list_files
from rfm.schema import RfmError
from rfm.settings import Settings

Say = Callable[[str], None]


def wait_for_files(settings: Settings, act: Callable[[], bool], every: float, say: Say) -> None:
    """Run whenever a landing file is new or changed and has not grown for one interval; once at the start, too.

    Parameters
    ----------
    settings
        Where the files are.
    act
        The run; tells whether it took place, or has to be tried again.
    every
        Seconds from look to look.
    say
        Takes what is wrong with the landing place, once; it is looked at again all the same.
    """
    said: list[str] = []

    def look() -> tuple[Any, ...]:
        try:
            found = tuple(list_files(settings.landing, settings.files.pattern))
            said.clear()
            return found
        except RfmError as error:
            if said != [str(error)]:
                said[:] = [str(error)]
                say(str(error))
            return ()

    watch(look, act, lambda: time.sleep(every))


def watch(look: Callable[[], tuple[Any, ...]], act: Callable[[], bool], pause: Callable[[], None]) -> None:
    """Act on what is seen, once it is the same in two looks and not what was acted on before, until Ctrl-C in a pause.

    Parameters
    ----------
    look
        Returns what is there; nothing is never acted on.
    act
        Tells whether it has acted; if not, it is called again after the next look.
    pause
        Waits between two looks.
    """
    before: tuple[Any, ...] = ()
    done: tuple[Any, ...] = ()
    while True:
        seen = look()
        if seen and seen == before and seen != done and act():
            done = seen
        before = seen
        try:
            pause()
        except KeyboardInterrupt:
            return
