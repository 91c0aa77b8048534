"""Numbers with what they count, in words."""


def counted(count: int, noun: str) -> str:
    """So many of them: `1 fact`, `1,200 facts`."""
    if count == 1:
        return f"1 {noun}"
    changes = noun.endswith("y") and noun[-2] not in "aeiou"
    return f"{count:,} {noun[:-1]}ies" if changes else f"{count:,} {noun}s"
