"""The section of the configuration that says which Redis to use, and for what."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from memory_mcp.loopback import ALLOW_PLAINTEXT, HOW_TO_ALLOW, elsewhere
from memory_mcp.tiers.redis.address import Address, parse


class RedisSettings(BaseModel):
    """Where it is, how long to wait for it, how long it keeps what."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)  # an input may be a secret

    url: SecretStr = Field(
        default=SecretStr(""),
        description="redis://host:6379, rediss:// (TLS), unix:///path, redis+sentinel://host:26379/service, redis+cluster://; empty: none",
    )
    username: str = Field(default="", description="an ACL user, if not in the URL")
    password: SecretStr = Field(default=SecretStr(""), description="its password, or the server's, if not in the URL")
    ca_file: str = Field(default="", description="certificates to trust with TLS, in place of the system's")
    timeout_seconds: float = Field(default=0.2, gt=0, le=10, description="longest wait for a connection, and for an answer on it")
    lookup_seconds: float = Field(
        default=0.05, gt=0, le=10, description="longest that a question waits for what Redis knows; then it is worked out anew"
    )
    max_connections: int = Field(default=16, ge=1, le=1_000, description="connections at most")
    ttl_seconds: int = Field(default=86_400, ge=1, le=31_536_000, description="how long candidates are kept")
    embedding_ttl_seconds: int = Field(default=2_592_000, ge=1, le=31_536_000, description="how long embeddings of questions are kept")
    max_entry_bytes: int = Field(default=262_144, ge=1_024, le=16_777_216, description="a larger entry is neither written nor read")
    stream_length: int = Field(default=10_000, ge=0, le=10_000_000, description="changes kept in a tenant's stream, about; 0: no stream")
    allow_plaintext: bool = Field(default=False, description=ALLOW_PLAINTEXT)

    @model_validator(mode="after")
    def _without_contradictions(self) -> Self:
        if not self.configured:
            for key in type(self).model_fields.keys() - {"url"}:
                if key in self.model_fields_set and getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f"{key} belongs to a Redis: set url, or remove {key}")
            return self
        address = parse(self.url.get_secret_value())
        if self.username and address.username:
            raise ValueError("username stands in url, too: remove one of them")
        if self.password.get_secret_value() and address.password:
            raise ValueError("password stands in url, too: remove one of them")
        if self.ca_file and not address.tls:
            raise ValueError("ca_file belongs to TLS: begin url with rediss")
        if not (address.tls or self.allow_plaintext) and elsewhere(host for host, _ in address.nodes):
            raise ValueError(f"url leads to another machine without TLS: begin it with rediss, {HOW_TO_ALLOW}")
        return self

    @property
    def configured(self) -> bool:
        """Whether there is a Redis to use."""
        return bool(self.url.get_secret_value())

    @property
    def address(self) -> Address:
        """Where it is. Only of one that is configured."""
        return parse(self.url.get_secret_value())
