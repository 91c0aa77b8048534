"""The section of the configuration that says where PostgreSQL is, and how much of it is used."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from memory_mcp.loopback import ALLOW_PLAINTEXT


class PostgresSettings(BaseModel):
    """Memories in a PostgreSQL database, for several machines or very many memories."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)  # an input may be a secret

    backend: Literal["postgres"] = Field(default="postgres", description="where memories are kept")
    dsn: SecretStr = Field(
        default=SecretStr(""), description="the database, as the role that serves: postgresql://memory_app:password@host/memory"
    )
    owner_dsn: SecretStr = Field(
        default=SecretStr(""),
        description="the same database as the role that owns the tables; where set, a start brings the schema up to date",
    )
    pool_size: int = Field(default=8, ge=1, le=100, description="connections at most")
    pool_seconds: float = Field(default=3.0, gt=0, le=60, description="longest wait for a free connection")
    max_waiting: int = Field(default=200, ge=1, le=10_000, description="calls that may wait for one; further ones are refused at once")
    answer_seconds: float = Field(default=10.0, gt=0, le=600, description="longest wait for the answer to one statement")
    hnsw: bool = Field(
        default=False,
        description="an approximate index for namespaces too large for memory and Qdrant; makes writing about ten times slower",
    )
    exact_rows: int = Field(
        default=50_000, ge=0, le=10_000_000, description="namespaces up to so many vectors are searched exactly, index or not"
    )
    allow_plaintext: bool = Field(default=False, description=ALLOW_PLAINTEXT)

    @model_validator(mode="after")
    def _with_an_address(self) -> Self:
        if not self.dsn.get_secret_value():
            raise ValueError("backend = postgres needs dsn, like postgresql://memory_app:password@host/memory")
        return self
