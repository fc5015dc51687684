"""Requests to stop by SIGTERM or SIGINT."""

import signal
import threading
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Records whether SIGTERM or SIGINT has arrived since the context was entered.

    A second signal has its usual effect. Outside the main thread, where Python installs no
    handlers, no signal is recorded.
    """

    def __init__(self) -> None:
        self.signal: str | None = None
        """The name of the first signal."""
        self._previous: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """True if a signal has arrived."""
        return self.signal is not None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._request) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number).name
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
