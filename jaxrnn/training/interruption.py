"""Stopping between two steps rather than within one."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred() -> Iterator[Callable[[], int | None]]:
    """Within, Ctrl-C and SIGTERM are only noted; the function it gives returns the signal that came, or None.

    A second one acts as it would have. Outside the main thread, where Python takes no signals, nothing changes.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before = {s: signal.getsignal(s) for s in SIGNALS}

    def restore() -> None:
        for s, handler in before.items():
            signal.signal(s, handler)

    def note(number: int, frame: object) -> None:
        came.append(number)
        restore()

    for s in SIGNALS:
        signal.signal(s, note)
    try:
        yield lambda: came[0] if came else None
    finally:
        restore()
