"""The section of the configuration that says what embeds."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from memory_mcp.loopback import ALLOW_PLAINTEXT, HOW_TO_ALLOW, elsewhere

DEFAULT_MODEL = "all-MiniLM-L6-v2"


class EmbeddingSettings(BaseModel):
    """Which model, where it runs, and how much of what it said is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)  # an input may be a secret

    provider: Literal["local", "remote"] = Field(
        default="local", description="local: in this process; remote: an OpenAI-compatible endpoint at base_url"
    )
    model: Annotated[str, Field(min_length=1)] = Field(
        default=DEFAULT_MODEL,
        description="a sentence-transformers model, by name or as a folder; with provider = remote, the endpoint's name for it",
    )
    threads: int = Field(default=0, ge=0, le=256, description="CPU threads of a local model, and its runs at once; 0: as many as help")
    cache_entries: int = Field(
        default=10_000, ge=0, le=10_000_000, description="texts whose vectors are kept in memory (1.6 kB each at 384 dimensions)"
    )
    base_url: str = Field(default="", description="the endpoint up to, not including, /embeddings")
    api_key: SecretStr = Field(default=SecretStr(""), description="sent as a bearer token, if set")
    dimensions: int | None = Field(
        default=None, ge=1, le=65_536, description="length of the vectors to ask the endpoint for; unset: its own choice"
    )
    timeout_seconds: float = Field(default=10.0, gt=0, le=600, description="longest wait for one answer of the endpoint")
    allow_plaintext: bool = Field(default=False, description=ALLOW_PLAINTEXT)

    @model_validator(mode="after")
    def _without_contradictions(self) -> Self:
        if self.provider == "local":
            for key in ("base_url", "api_key", "dimensions", "timeout_seconds", "allow_plaintext"):
                if key in self.model_fields_set and getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f"{key} belongs to an endpoint: set provider = remote, or remove {key}")
            return self
        if "model" not in self.model_fields_set:
            raise ValueError("provider = remote needs model, the endpoint's name for it")
        if self.threads:
            raise ValueError("threads belongs to a local model: set provider = local, or remove threads")
        address = urlsplit(self.base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("provider = remote needs base_url, like https://api.example.com/v1")
        if address.username or address.password or address.query or address.fragment:
            raise ValueError("base_url is to hold scheme, host and path alone; a secret goes into api_key")
        if address.scheme == "http" and not self.allow_plaintext and elsewhere([address.hostname]):
            raise ValueError(f"base_url leads to another machine without TLS: begin it with https, {HOW_TO_ALLOW}")
        return self
