"""What is done about secrets in what is to be remembered: refused, or cut out and said so. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from memory_mcp.errors import RequestError
from memory_mcp.hygiene.secrets import Secret, found, redacted
from memory_mcp.remember import door
from memory_mcp.remember.drafts import RememberRequest

Policy = Literal["refuse", "redact", "allow"]

_INSTEAD = "Nothing was stored. Leave it out, and say where it is kept instead."


@dataclass(slots=True)
class Inspection:
    """Looks through the texts of one call; each method returns what may be stored, or raises RequestError.

    Attributes:
        redactions: What was cut out so far, in words, like `a password in content`.
    """

    policy: Policy
    redactions: list[str] = field(default_factory=list)

    def parts(self, content: str, tags: Sequence[str], metadata: Mapping[str, Any]) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        """What a memory is found by, each as the method of its kind."""
        return self.text(content, "content"), tuple(self.text(tag, "tags") for tag in tags), self.metadata(metadata)

    def text(self, value: str, where: str) -> str:
        """A text that may be stored with gaps."""
        secrets = [] if self.policy == "allow" else found(value)
        return self._without(value, secrets, where) if secrets else value

    def name(self, value: str, where: str) -> str:
        """A text that means something only as it is: what it holds is refused, never cut out."""
        if self.policy != "allow" and (secrets := found(value)):
            raise _refusal(secrets, where)
        return value

    def metadata(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """A JSON object: names as `name`, values as `text` in view of the name that they stand under."""
        return {self.name(key, "metadata"): self._value(inner, key) for key, inner in value.items()}

    def _value(self, value: Any, under: str) -> Any:
        if isinstance(value, str):
            return self._named(value, under)
        if isinstance(value, Mapping):
            return self.metadata(value)
        return [self._value(inner, under) for inner in value] if isinstance(value, list | tuple) else value

    def _named(self, value: str, name: str) -> str:
        """A value that may be a secret only because of its name, as in `password: ...`."""
        plain = self.text(value, "metadata")
        if plain == value and self.policy != "allow" and (secrets := found(f'{name}: "{value}"')):
            return self._without(value, [Secret(secrets[0].kind, 0, len(value))], "metadata")
        return plain

    def _without(self, value: str, secrets: Sequence[Secret], where: str) -> str:
        if self.policy == "refuse":
            raise _refusal(secrets, where)
        self.redactions += [f"{secret.kind} in {where}" for secret in secrets]
        return redacted(value, secrets)


def _refusal(secrets: Sequence[Secret], where: str) -> RequestError:
    kinds = ", ".join(dict.fromkeys(secret.kind for secret in secrets))
    return RequestError(f"{where} seems to hold {kinds}. {_INSTEAD}")


def weight_of(content: str, tags: Sequence[str], metadata: Mapping[str, Any]) -> int:
    """How many characters of plain text it takes as long to look through."""
    return len(content) + 10 * (sum(map(len, tags)) + len(repr(metadata)))


def cleaned(request: RememberRequest, policy: Policy) -> tuple[RememberRequest, tuple[str, ...]]:
    """A request without secrets, and what was cut out of it, in words.

    Raises:
        RequestError: It holds one, and the policy or the place does not allow to cut it out.
    """
    door.content(request.content)  # nothing larger or deeper than what is allowed is looked through
    door.tags(request.tags)
    door.metadata(request.metadata)
    look = Inspection(policy)
    content, tags, metadata = look.parts(request.content, request.tags, request.metadata)
    clean = replace(
        request,
        content=content,
        tags=tags,
        metadata=metadata,
        key=look.name(request.key, "key"),
        session_id=look.name(request.session_id, "session_id"),
        idempotency_key=look.name(request.idempotency_key, "the idempotency key"),
    )
    return clean, tuple(dict.fromkeys(look.redactions))
