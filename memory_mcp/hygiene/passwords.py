"""Passwords and keys that no shape betrays but what stands before them: `password: ...`, `--token ...`, `scheme://user:...@host`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

PASSWORD = (
    r"(?:pass(?:word|wd|phrase|code)|passwort|kennwort|pwd|contraseña|senha|wachtwoord|mot de passe|пароль|密码|密碼|パスワード|비밀번호)"
)
TOKEN = (
    r"(?:(?:api|access|auth|account|app|bot|client|deploy|encryption|licen[sc]e|master|private|secret|service|shared|signing|storage|webhook"
    r"|admin|root)[ _.-]?key(?:[ _-]base)?|secret|credentials?"
    r"|(?<!csrf)(?<!csrf[_-])(?<!xsrf[_-])(?<!next)(?<!next[_-])(?<!page)(?<!page[_-])(?<!sync[_-])(?<!continuation[_-])token)"
)
_SET = (
    r"""(?:["'`]?\]?[ \t]{0,4}(?::[ \t]{0,2}(?:str|string|SecretStr|Optional\[str\]|str \| None)[ \t]{0,2}=(?!=)"""
    r"""|:=|=>|=(?!=)|[:：](?!:))[ \t]{0,4}"""
    r"""|["'`],[ \t]{0,2}(?=["'])|>(?=[^<\s]{4,200}</))"""
)
_SAID = (
    r"(?:[ \t]+(?:of|for|to|on|in|at|from|für|von|zu|vom)[ \t][^.:;=\n\"'`]{1,60}?)?"
    r"[ \t]{0,2}(?:[ \t](?:is|was|ist|lautet)(?:[ \t]+now)?:?[ \t]{1,4}|:[ \t]{1,4})"
)
_BARE = r"[^\s\"'`,;<>|&]{5,400}[^\s\"'`,;<>|&.:)\]}]"
_VALUE = rf"""(?:[rbuf]{{0,2}}(?P<quote>["'`])(?P<quoted>[^"'`\s]{{6,400}})(?P=quote)|(?P<bare>{_BARE}))"""


@dataclass(frozen=True, slots=True)
class Telling:
    """A way of naming a secret.

    Attributes:
        kind: In words; never any part of the secret.
        marks: As of a `Shape`, in lower case, looked for in the text in lower case.
        pattern: With the value in one of the groups `quoted` and `bare`, and perhaps the group `user`. Runs in linear time.
        judge: Whether a value is likely to be what its name says, given also whether it stood in quotes.
    """

    kind: str
    marks: tuple[str, ...]
    pattern: str
    judge: Callable[[str, bool], bool]


def password(value: str, quoted: bool) -> bool:
    """Whether a value looks chosen or drawn: letters with digits or special characters, and neither words, code nor a stand-in."""
    rest = _STAND_IN_WORD.sub("", value)  # of `secret123` nothing to speak of, of `hunter2sEcret!x9` enough
    if len(rest) < 6 or len(set(rest)) < 5 or _STAND_IN.search(value) or _reads_as_code(value, quoted) or _reads_as_code(rest, quoted):
        return False
    return not all(_word(piece) for piece in _SEPARATOR.split(rest))


def token(value: str, quoted: bool) -> bool:
    """Likewise, of a value that a machine drew: 16 characters or more, letters and digits; a UUID names rather than opens.

    In the alphabet of URLs one of 64 begins with a hyphen, as options do.
    """
    value = value.removeprefix("-")
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return len(value) >= 16 and len(set(value)) >= 8 and mixed and not _UUID.fullmatch(value) and password(value, quoted)


def strong(value: str, quoted: bool) -> bool:
    """Likewise, where only its look tells a password from the next word: small and capital letters and digits, or a special character."""
    kinds = (str.islower, str.isupper, str.isdecimal)
    varied = all(any(map(kind, value)) for kind in kinds) or _SPECIAL.search(value) is not None
    return len(value) >= 8 and varied and password(value, quoted)


def in_url(value: str, quoted: bool) -> bool:
    """Likewise, of what stands for a password in a URL: there also a word of eight letters or more."""
    if _STAND_IN.search(value) or _CODE.search(value) or len(set(value)) <= 4:
        return False
    return password(value, quoted) or (len(value) >= 8 and not _STAND_IN_WORD.search(value))


_STAND_IN = re.compile(
    r"\*{3}|\.{3}|…|x{4}|[<>]|\$[{(]|\{\{|^%\(|^\$\w|^%\w+%$|^\{[\w.]*\}$|^@\w+@$|example|sample|dummy|placeholder|change.?me|replace|redact"
    r"|(?-i:your|Your|YOUR)",
    re.IGNORECASE,
)
_STAND_IN_WORD = re.compile(
    r"passw(?:ord|d)?|passphrase|pa55w|^pass|secret|token|test|fake|foobar|default|undefined|hidden|masked|invalid|wrong|correct|credential|abc123|12345678"
    r"|qwerty|0{6}|deadbeef|lorem|encrypted|hashed|(?<![a-z0-9])(?:my|foo|bar|baz|none|null|todo|env|vault|scott|tiger)(?![a-z0-9])",
    re.IGNORECASE,
)
_CODE = re.compile(r"[()\[\]{}\\]|::|->|://|^[./~$%@#!&*?-]|^[A-Za-z]:\\|^[\w.]+=|^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SEPARATOR = re.compile(r"[-_./:+@,]+")
_SPECIAL = re.compile(r"[^\w./:+@,-]")
_TECHNICAL = re.compile(
    r"(?:[a-z]{1,3}\d{1,4}|[A-Z]{1,2}\d{1,2}|\d{1,4}[A-Za-z]{0,3}"
    r"|(?i:sha|base|argon|bcrypt|scrypt|oauth|python|utf|http|ipv|aes|ed|rsa|hs|rs|es|md)\d{1,5}[A-Za-z]{0,3})s?"
)


def _reads_as_code(value: str, quoted: bool) -> bool:
    return not quoted and _CODE.search(value) is not None


def _word(piece: str) -> bool:
    """Whether a run of characters is a word, a number, the like of sha256 or db7, or nothing: what names are made of."""
    if piece.isalpha():
        turns = sum(a.islower() and b.isupper() for a, b in pairwise(piece))
        return turns < 3 or turns * 5 < len(piece)
    return not piece or piece.isdecimal() or _TECHNICAL.fullmatch(piece) is not None


_PASSWORDS = tuple("passw passphrase passcode kennwort pwd contrase senha wachtwoord passe пароль 密码 密碼 パスワード 비밀번호".split())
_TOKENS = ("key", "secret", "token", "credential")

TELLING = (
    Telling(
        "a password in a URL",
        ("://",),
        r"\b[a-z][a-z0-9+.-]{1,20}://(?P<user>[^\s/:@\"'<>]{0,80}):(?P<bare>[^\s/@\"'<>]{4,200})@(?=[\w\[])",
        in_url,
    ),
    Telling(
        "a token in a URL", ("://",), r"\b[a-z][a-z0-9+.-]{1,20}://(?P<bare>[^\s/:@\"'<>]{20,200})(?::x-oauth-basic)?@(?=[\w\[])", token
    ),
    Telling("a password", _PASSWORDS, rf"{PASSWORD}\d{{0,2}}(?:{_SET}|{_SAID}){_VALUE}", password),
    Telling("a password", _PASSWORDS, rf"(?:--[\w-]{{0,20}}|\blogin[ \t]+\S{{1,80}}\s+){PASSWORD}[ \t]+{_VALUE}", password),
    Telling("a password", ("pass", "pw"), rf"(?:{PASSWORD}[ \t]{{1,4}}|\b(?:pass|pw)[ \t]{{0,2}}[:=][ \t]{{0,2}}){_VALUE}", strong),
    Telling("a password", ("sshpass", "mysql", "mariadb"), rf"(?:sshpass|mysql|mariadb)[^\n]{{0,80}}?\s-p[ \t]?{_VALUE}", strong),
    Telling(
        "a password",
        ("curl", "wget", "http"),
        rf"\s(?:-u|--user|--auth)[ \t=]{{0,2}}[\"']?(?P<user>[^\s:\"']{{1,80}}):(?P<bare>{_BARE})",
        password,
    ),
    Telling(
        "a token",
        ("authorization", "bearer"),
        rf"(?:authorization|bearer)\W{{1,6}}(?:bearer|basic|token)?\s{{0,2}}(?P<bare>{_BARE})",
        token,
    ),
    Telling("a token", _TOKENS, rf"{TOKEN}\d{{0,2}}(?:{_SET}|{_SAID}){_VALUE}", token),
    Telling("a token", _TOKENS, rf"{TOKEN}[ \t]{{1,4}}{_VALUE}", token),
)
"""The particular before the general."""
