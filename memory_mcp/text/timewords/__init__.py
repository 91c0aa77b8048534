"""Times that a question names, as intervals to prefer: pure, with the clock passed in.

English and German together, French, Spanish, Italian, Portuguese and Dutch.
"""

from memory_mcp.text.timewords.reading import states_time, time_spans
from memory_mcp.text.timewords.spans import MOST_TIMES, OPEN_WEIGHT, YEAR_WEIGHT, TimeSpan, of_that_time, time_preference
from memory_mcp.text.timewords.telling import foreign_languages

__all__ = [
    "MOST_TIMES",
    "OPEN_WEIGHT",
    "YEAR_WEIGHT",
    "TimeSpan",
    "foreign_languages",
    "of_that_time",
    "states_time",
    "time_preference",
    "time_spans",
]
