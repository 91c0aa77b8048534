"""The section of the configuration that says where the key comes from that the store's file is encrypted with."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

_SOURCES = ("key_file", "key_command", "keyring", "key")


class EncryptionSettings(BaseModel):
    """Memories in SQLite on the disk only as ciphertext; off unless one of the keys is set."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)  # an input may be a secret

    key_file: str = Field(default="", description="a file that holds the key and that only you can read; `memory-mcp encrypt` makes one")
    key_command: list[Annotated[str, Field(min_length=1)]] = Field(
        default=[], description='a program that prints the key, and its arguments, like ["pass", "show", "memory-mcp"]'
    )
    keyring: bool = Field(default=False, description="keep the key in the system's keyring; needs the extra keyring")
    key: SecretStr = Field(
        default=SecretStr(""), description="the key itself, only ever as MEMORY_MCP_ENCRYPTION__KEY: here it would lie beside what it locks"
    )

    @model_validator(mode="after")
    def _from_one_source(self) -> Self:
        if len(self._named) > 1:
            raise ValueError(f"{' and '.join(self._named)} exclude each other: a key comes from one place")
        return self

    @property
    def on(self) -> bool:
        """Whether the store is to be encrypted."""
        return bool(self._named)

    @property
    def source(self) -> str:
        """The key of this section that says where the key comes from; empty: there is none."""
        return self._named[0] if self._named else ""

    @property
    def _named(self) -> list[str]:
        return [name for name in _SOURCES if (self.key.get_secret_value() if name == "key" else getattr(self, name))]


NOT_ENCRYPTED = EncryptionSettings()
