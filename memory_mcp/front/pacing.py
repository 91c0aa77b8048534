"""How often an engine may end, or fail to come, before a front stops trying for a while."""

_WINDOW_SECONDS = 30.0
_MOST_ENDS = 5
_FIRST_REST_SECONDS = 1.0
_LONGEST_REST_SECONDS = 30.0


class Pacing:
    """Counts ends and failures; times are moments of `time.monotonic`."""

    def __init__(self) -> None:
        self._ends: list[float] = []
        self._rest = _FIRST_REST_SECONDS
        self.rests_until = 0.0

    def ended(self, now: float) -> bool:
        """Note that an engine has ended; whether that has happened too often of late."""
        self._ends = [end for end in self._ends if now - end < _WINDOW_SECONDS] + [now]
        return len(self._ends) > _MOST_ENDS

    def failed(self, now: float) -> None:
        """There was none to be had: rest, each time twice as long."""
        self.rests_until = now + self._rest
        self._rest = min(self._rest * 2, _LONGEST_REST_SECONDS)

    def succeeded(self) -> None:
        """One is there again."""
        self.rests_until, self._rest = 0.0, _FIRST_REST_SECONDS
