"""How long nothing has come, told apart from the time in which nobody was awake to hear it."""

import time
from typing import Final

AWAKE_S: Final = 0.5  # whoever takes longer from one look to the next was stopped


class Silence:
    """How long nothing was accepted, without the time in which this process was stopped itself.

    What came in that time waits in the socket, and is not here at once.
    """

    def __init__(self, *, began: bool) -> None:
        self._lasted_s = 0.0 if began else None
        self._looked_s = time.monotonic()

    def end(self) -> None:
        """Something was accepted."""
        self._lasted_s, self._looked_s = 0.0, time.monotonic()

    def lasted_s(self) -> float | None:
        """Asked all the time; None before anything was accepted."""
        before_s, self._looked_s = self._looked_s, time.monotonic()
        if self._lasted_s is not None:
            self._lasted_s += min(AWAKE_S, self._looked_s - before_s)
        return self._lasted_s
