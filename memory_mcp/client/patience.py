"""How long a program waits for an answer, and after what it asks again; pure."""

from dataclasses import dataclass

from memory_mcp.faults import NOTHING_DONE, Fault


@dataclass(frozen=True, slots=True)
class Patience:
    """The bounds of one call, however often it has to be sent.

    Attributes:
        tries: At most, 1 or more.
        attempt_seconds: For each try.
        total_seconds: For all of them, pauses included.
        first_pause_seconds: The longest first pause; each further one may be twice as long.
        longest_pause_seconds: Beyond what the server asks for.
    """

    tries: int = 8
    attempt_seconds: float = 30.0
    total_seconds: float = 60.0
    first_pause_seconds: float = 0.1
    longest_pause_seconds: float = 5.0


def pause(patience: Patience, fault: Fault, tried: int, left_seconds: float, chance: float, *, repeatable: bool) -> float | None:
    """In how many seconds to send a call again that has failed; None: not again.

    The pause is drawn evenly from 0 to a bound that doubles ("full jitter"), so that many clients that failed at once do not
    come back at once. What the server asks for is waited in any case, and a wait beyond `left_seconds` is not begun.

    Args:
        tried: How often it was sent.
        chance: In [0, 1), drawn anew each time.
        repeatable: Whether carrying it out twice does no more than once; if not, it is only sent again where nothing was done.

    Source:
        Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    """
    if not fault.retryable or tried >= patience.tries or not (repeatable or fault.code in NOTHING_DONE):
        return None
    bound = min(patience.longest_pause_seconds, patience.first_pause_seconds * 2.0 ** min(tried - 1, 60))
    seconds = fault.retry_seconds + chance * bound
    return seconds if seconds < left_seconds else None
