"""The section of the configuration that says which Qdrant, and how it is to keep the vectors."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from memory_mcp.loopback import ALLOW_PLAINTEXT, HOW_TO_ALLOW, elsewhere


class QdrantSettings(BaseModel):
    """A Qdrant server or cluster, or Qdrant's code on a folder, for vectors beyond what memory holds; off unless url or path is set."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)  # an input may be a secret

    url: str = Field(default="", description="a server or any node of a cluster, like http://localhost:6333; empty: none")
    api_key: SecretStr = Field(default=SecretStr(""), description="sent with every call, if set")
    path: str = Field(default="", description="a folder to keep vectors in without a server, for one process at a time; empty: none")
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")] = Field(
        default="memory-mcp", description="what the names of collections begin with"
    )
    prefer_grpc: bool = Field(default=True, description="use gRPC where it answers, else HTTP")
    grpc_port: int = Field(default=6334, ge=1, le=65_535, description="the server's port for gRPC")
    timeout_seconds: float = Field(default=0.5, gt=0, le=60, description="longest wait for one search")
    write_timeout_seconds: float = Field(default=30.0, gt=0, le=600, description="longest wait for one batch of writes, behind everything")
    hnsw_m: int = Field(default=16, ge=4, le=256, description="links of a vector in the graph: more find more, and take more memory")
    hnsw_ef_construct: int = Field(default=200, ge=10, le=10_000, description="how widely the graph's builder looks for neighbours")
    ef: int = Field(default=128, ge=10, le=10_000, description="how widely a search looks; more finds more, and takes longer")
    quantization: Literal["none", "int8", "binary"] = Field(
        default="none", description="none, int8 (a quarter of the memory) or binary (1/32); the best are compared again in full"
    )
    oversampling: float = Field(default=2.0, ge=1, le=20, description="how many times as many are compared again in full")
    on_disk: bool = Field(default=False, description="keep full vectors on disk instead of in the server's memory")
    shards: int = Field(default=1, ge=1, le=1_000, description="parts of a collection, for a cluster")
    replicas: int = Field(default=1, ge=1, le=100, description="copies of each part, for a cluster")
    write_consistency: int = Field(default=1, ge=1, le=100, description="copies that confirm a write before it counts")
    allow_plaintext: bool = Field(default=False, description=ALLOW_PLAINTEXT)

    @property
    def on(self) -> bool:
        """Whether there is a Qdrant at all."""
        return bool(self.url or self.path)

    @model_validator(mode="after")
    def _without_contradictions(self) -> Self:
        if self.url and self.path:
            raise ValueError("url and path exclude each other: a server, or a folder without one")
        if self.path and self.api_key.get_secret_value():
            raise ValueError("api_key belongs to a server: set url, or remove api_key")
        if self.url:
            address = urlsplit(self.url)
            if address.scheme not in ("http", "https") or not address.hostname:
                raise ValueError("url needs scheme and host, like http://localhost:6333")
            if address.username or address.password or address.query or address.fragment:
                raise ValueError("url is to hold scheme, host, port and path alone; a secret goes into api_key")
            if address.scheme == "http" and not self.allow_plaintext and elsewhere([address.hostname]):
                raise ValueError(f"url leads to another machine without TLS: begin it with https, {HOW_TO_ALLOW}")
        if self.write_consistency > self.replicas:
            raise ValueError("write_consistency cannot be more than replicas")
        return self
