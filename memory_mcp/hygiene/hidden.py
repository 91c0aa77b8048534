"""Characters that show nothing, or turn around what is shown: a person reads one thing and a model another. Pure."""

import re

_CONTROLS = r"\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f"
"""The escape that begins a terminal's commands among them; white space is none."""
_TURNING = "\u202a-\u202e\u2066-\u2069"
_INVISIBLE = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2064\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
_JOINERS = "\u200c\u200d"
_MARKS = "\u061c\u200e\u200f"
_VARIATIONS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"

_ASCII = re.compile(f"[{_CONTROLS}]")
_FLAG = re.compile("\U0001f3f4[\U000e0061-\U000e007a\U000e0030-\U000e0039]{3,6}\U000e007f")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe]")
_HIDDEN = re.compile(
    f"[{_CONTROLS}{_TURNING}{_INVISIBLE}]"
    # joiners stand between letters of other scripts, and in emoji
    f"|(?:(?<=[\x00-\x7f])|^)[{_JOINERS}]|[{_JOINERS}](?=[\x00-\x7f]|$)|[{_JOINERS}]{{2}}"
    f"|[{_VARIATIONS}]{{2}}|(?:(?<=[A-Za-z ])|^)[{_VARIATIONS}]"
)
_EVERY = re.compile(f"[{_CONTROLS}{_TURNING}{_INVISIBLE}{_JOINERS}{_MARKS}{_VARIATIONS}]")


def hides(text: str) -> bool:
    """Whether a text holds such characters where its script or an emoji does not call for them."""
    if text.isascii():
        return _ASCII.search(text) is not None
    if not _EVERY.search(text):  # as a rule, and told ten times as fast
        return False
    plain = _FLAG.sub("", text)
    return _HIDDEN.search(plain) is not None or (not _RIGHT_TO_LEFT.search(plain) and re.search(f"[{_MARKS}]", plain) is not None)


def shown_openly(text: str) -> str:
    """The text with every such character written out, as in `\\u202e`."""
    return _EVERY.sub(lambda match: "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}" for c in match[0]), text)


def without(text: str) -> str:
    """The text as a model may read it: without these characters, and with the letters that tags spell."""
    tags = re.sub("[\U000e0020-\U000e007e]", lambda match: chr(ord(match[0]) - 0xE0000), text)
    return _EVERY.sub("", tags)
