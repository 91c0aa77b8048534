"""What kind of answer a question wants, told by its own words: a time, one occasion, what is so at present. Pure."""

import re

_WHEN = re.compile(  # the first letters let it pass over most words at once
    r"\b(?=[chqw])(?:when|how long|how often|wh(?:at|ich) (?:year|month|day|date|time)|wann|wie (?:lange|oft)"
    r"|quand|combien de (?:temps|fois)|quel(?:le)? (?:jour|mois|année|date|heure)"
    r"|cu[áa]ndo|cu[áa]nto tiempo|cu[áa]ntas veces|qu[ée] (?:día|dia|mes|año|fecha|hora)"
    r"|quando|quanto tempo|quante volte|quantas vezes|(?:che|que|qual) (?:giorno|mese|anno|ora|data|mês)"
    r"|wanneer|hoe (?:lang|vaak)|welke (?:dag|datum|maand)|welk jaar)\b",
    re.IGNORECASE,
)
_OCCASION = re.compile(r"\bdid(?:n['’]?t)?\b", re.IGNORECASE)
_PRESENT = re.compile(
    r"\b(?:now|nowadays|current|currently|at present|at the moment|these days|latest|newest"
    r"|jetzt|aktuell\w*|derzeit\w*|momentan\w*|zurzeit|neueste\w*|actuel\w*|maintenant"
    r"|ahora|actualmente|adesso|attualmente|agora|atualmente|momenteel|сейчас)\b",
    re.IGNORECASE,
)


def asks_when(query: str) -> bool:
    """Whether a question wants a time as its answer."""
    return _WHEN.search(query) is not None


def asks_of_an_occasion(query: str) -> bool:
    """Whether a question is about one thing that happened: English asks so by `did`, of what lasts by `do`, of all so far by `have`."""
    return _OCCASION.search(query) is not None


def asks_of_the_present(query: str) -> bool:
    """Whether a question wants what is so now, so that of several statements about one thing the latest is meant."""
    return _PRESENT.search(query) is not None
