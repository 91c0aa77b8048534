"""Settings, on one page: the sections of `config.toml`, in their order, each read by one room.

The first of these that names a value wins: the command line, the environment (`MEMORY_MCP_RECALL__LIMIT`),
`config.toml` in the data directory (or the file that `MEMORY_MCP_CONFIG` names), the default here. An engine, which
is no client's own, knows neither command line nor environment.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from memory_mcp.audit.settings import AuditSettings
from memory_mcp.embedding.settings import EmbeddingSettings
from memory_mcp.errors import ConfigError
from memory_mcp.folders import expanded, in_full
from memory_mcp.loopback import elsewhere
from memory_mcp.slips import explained, misnamed
from memory_mcp.tiers.postgres.settings import PostgresSettings
from memory_mcp.tiers.qdrant.settings import QdrantSettings
from memory_mcp.tiers.redis.settings import RedisSettings
from memory_mcp.tiers.sqlite.settings import EncryptionSettings

DEFAULT_DATA_DIR = Path("~/.memory-mcp")
CONFIG_NAME = "config.toml"
KEY_VARIABLE = "MEMORY_MCP_ENCRYPTION__KEY"


class Section(BaseModel):
    """A misspelt key is an error, not a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


TIER_ENTRY_POINTS = "memory_mcp.tiers"
"""The group of entry points under which packages offer tiers of their own."""
OWN_TIERS = ("resident", "qdrant")


class StackSettings(Section):
    """Who is asked for the memories closest in meaning."""

    vectors: list[str] = Field(
        default=[*OWN_TIERS], description="vector tiers, the first that holds a namespace whole is asked; those not set up are passed over"
    )

    @field_validator("vectors")
    @classmethod
    def _each_known_once(cls, names: list[str]) -> list[str]:
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} is named twice")
        others = [name for name in names if name not in OWN_TIERS]
        if others and (unknown := sorted(set(others) - _installed_tiers())):
            known = ", ".join([*OWN_TIERS, *sorted(_installed_tiers())])
            raise ValueError(f"there is no tier {', '.join(unknown)}: known are {known}; install the package that brings another")
        return names


def _installed_tiers() -> set[str]:
    """Tiers that packages offer."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - nobody waits for it but who has such tiers

    return {entry.name for entry in entry_points(group=TIER_ENTRY_POINTS)}


class SqliteSettings(Section):
    """Memories in one file of the data directory."""

    backend: Literal["sqlite"] = Field(default="sqlite", description="where memories are kept; sqlite: in the data directory")


class ResidentSettings(Section):
    """The index in memory."""

    max_megabytes: int = Field(
        default=640, ge=0, le=1_000_000, description="for vectors in memory; whole namespaces are let go when it is full"
    )
    max_text_megabytes: int = Field(default=256, ge=0, le=1_000_000, description="likewise for texts")
    device: Literal["auto", "cpu", "gpu"] = Field(
        default="auto",
        description="auto: large namespaces are searched on a GPU if there is one; gpu: its absence is said; cpu: never",
    )
    gpu_megabytes: int = Field(default=0, ge=0, le=1_000_000, description="for copies of vectors on the GPU; 0: half of what is free there")


class CacheSettings(Section):
    """The cache of answers."""

    max_entries: int = Field(default=1_000, ge=0, le=1_000_000, description="questions whose answers are kept, for some minutes")


class RememberSettings(Section):
    """Storing."""

    similar_shown: int = Field(default=3, ge=0, le=10, description="similar memories named in a receipt")
    similar_from: float = Field(
        default=0.45, ge=0, le=1, description="lowest cosine that counts as similar in English (chats, events, code: 0.6)"
    )
    secrets: Literal["refuse", "redact", "allow"] = Field(
        default="refuse",
        description="a text that holds a password or key is refused; redact: stored without it, and the receipt says so; allow: stored",
    )


class WeightSettings(Section):
    """What each signal counts towards a memory's place, in standard deviations of similarity; 0: off."""

    dense: float = Field(default=1.0, ge=0, le=10, description="similarity in meaning, a standard deviation of it")
    lexical: float = Field(default=0.05, ge=0, le=10, description="words in common, a unit of BM25")
    coverage: float = Field(default=3.0, ge=0, le=10, description="the question's words, all of them here or just before in the session")
    kind: float = Field(default=4.5, ge=0, le=10, description="what is a kind of what the question asks for: a clarinet, of instruments")
    occasion: float = Field(default=1.0, ge=0, le=10, description="how often coverage and session count again if somebody did it")
    attribute: float = Field(default=3.2, ge=0, le=10, description="a tag or metadata value that the question names")
    session: float = Field(default=0.5, ge=0, le=10, description="what else was said in the session, a unit of BM25")
    neighbour: float = Field(default=0.09, ge=0, le=10, description="share of what speaks for the memories beside it in the session")
    second_neighbour: float = Field(default=0.09, ge=0, le=10, description="likewise two places away")
    reply: float = Field(default=0.25, ge=0, le=10, description="share of what speaks for a question just before")
    time: float = Field(default=6.5, ge=0, le=10, description="a memory from the day that the question names; a year counts half")
    dated: float = Field(default=2.4, ge=0, le=10, description="a memory that states a time, where the question asks for one")
    asking: float = Field(default=1.0, ge=0, le=10, description="taken from a memory that is itself a question")
    specific: float = Field(default=0.9, ge=0, le=10, description="what was said in passing (kind chat), if it names or counts something")
    importance: float = Field(default=0.25, ge=0, le=10, description="the importance a memory was given")
    recency: float = Field(default=0.12, ge=0, le=10, description="how new a memory is")
    latest: float = Field(default=2.0, ge=0, le=10, description="the latest of what was found, if the question wants what is so now")
    entity: float = Field(default=0.0, ge=0, le=10, description="a rare entity that the question names, or one that is related to it")


class RecallSettings(Section):
    """Finding."""

    candidates: int = Field(default=50, ge=10, le=5_000, description="taken from each search before they are fused")
    embed_seconds: float = Field(default=2.0, gt=0, le=60, description="longest wait for the embedding of a question or a text")
    vector_seconds: float = Field(default=1.0, gt=0, le=60, description="longest wait for the search by meaning")
    text_seconds: float = Field(default=1.0, gt=0, le=60, description="longest wait for the search by words")
    keep_questions: bool = Field(default=True, description="count what is asked and not found, in the store, for insights")
    records_seconds: float = Field(
        default=5.0, gt=0, le=60, description="longest wait for the record store, without which there is no answer; twice in a recall"
    )
    weights: WeightSettings = WeightSettings()


class TrashSettings(Section):
    """Forgotten memories."""

    keep_days: float = Field(default=30.0, ge=0, le=36_500, description="forgotten memories can be brought back for so long; 0: for ever")


class MaintenanceSettings(Section):
    """What an engine tidies by itself; all of it can be undone but emptying the trash."""

    every_hours: float = Field(default=6.0, ge=0, le=8_760, description="how often; 0: only when `memory-mcp maintain` is run")
    half_life_days: float = Field(default=180.0, gt=0, le=36_500, description="a memory that is never recalled fades by half in so long")
    promote_recalls: int = Field(default=3, ge=1, le=1_000, description="short-term memories recalled so often are kept for good")
    archive_below: float = Field(
        default=0.02, ge=0, le=1, description="importance times what is left, below which it is archived; 0: never"
    )
    merge: bool = Field(default=True, description="make one of memories that say the same in nearly the same words")


class ToolSettings(Section):
    """Which tools clients see."""

    sets: list[Literal["learning", "graph", "admin", "compat"]] = Field(
        default=[],
        description="beside the core: learning (errors, solutions, outcomes, insights), graph (entities and relations), "
        "admin (browsing, undoing, files, erasing), compat (the names of the official memory server)",
    )


class EngineSettings(Section):
    """The process that all clients of a data directory share."""

    idle_seconds: float = Field(default=600.0, ge=0, le=1e9, description="without a client for so long, the engine ends; 0: never")


class RoleSettings(Section):
    """Which values of the role's claim give which role."""

    reader: list[str] = Field(default=["reader"], description="search and read")
    writer: list[str] = Field(default=["writer"], description="also store, correct and forget single memories")
    manager: list[str] = Field(default=["manager"], description="also see and edit the whole tenant, and forget many memories at once")
    admin: list[str] = Field(default=["admin"], description="also see how the server is doing; erasure and maintenance")


class JwtSettings(Section):
    """Tokens of an identity provider; this server then is an OAuth resource server."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)  # an input may be a secret

    issuer: str = Field(default="", description="as in the claim iss; empty: no JWT is accepted")
    audience: str = Field(default="", description="as in the claim aud; empty: public_url followed by /mcp")
    jwks_url: str = Field(default="", description="where the issuer publishes its keys")
    key: SecretStr = Field(default=SecretStr(""), description="instead: a public key in PEM, or for HS256 a secret of 32 bytes or more")
    algorithms: list[str] = Field(
        default=["RS256"], description="no other is accepted; those with a secret and those with a public key do not mix"
    )
    tenant_claim: str = Field(default="tenant", description="the claim that names the tenant, nested ones like a.b")
    tenant: str = Field(default="", description="the tenant of all tokens, where they carry no claim for it")
    role_claim: str = Field(default="roles", description="the claim that gives the role: a list, or words in one text")
    max_age_seconds: int = Field(default=86_400, ge=60, le=31_536_000, description="a token that is good for longer is refused")
    leeway_seconds: int = Field(default=30, ge=0, le=300, description="how far clocks may differ")
    roles: RoleSettings = RoleSettings()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.issuer:
            return self
        if bool(self.jwks_url) == bool(self.key.get_secret_value()):
            raise ValueError("http.jwt.issuer is set: set either jwks_url or key, too, one of the two")
        keys = urlsplit(self.jwks_url)
        if keys.scheme not in ("", "https") and elsewhere([keys.hostname or "?"]):
            raise ValueError("http.jwt.jwks_url has to begin with https://, or whoever stands in between could name the keys")
        if unknown := sorted(set(self.algorithms) - {*SECRET_ALGORITHMS, *PUBLIC_ALGORITHMS}):
            raise ValueError(f"http.jwt.algorithms: {', '.join(unknown)} is none of {', '.join([*PUBLIC_ALGORITHMS, *SECRET_ALGORITHMS])}")
        by_secret = {name in SECRET_ALGORITHMS for name in self.algorithms}
        if len(by_secret) != 1:
            raise ValueError("http.jwt.algorithms: name some, either with a secret (HS...) or with a public key, not both")
        if by_secret == {True} and (self.jwks_url or len(self.key.get_secret_value().encode()) < 32):
            raise ValueError("http.jwt.algorithms names one with a secret: key has to be that secret, of 32 bytes or more")
        return self


PUBLIC_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
SECRET_ALGORITHMS = ("HS256", "HS384", "HS512")


class LimitSettings(Section):
    """What one client may take of a server, so that there is enough for the others; workers count what is a minute together."""

    calls_per_minute: int = Field(default=100, ge=0, le=1_000_000, description="tool calls of one token; 0: any number")
    address_calls_per_minute: int = Field(default=100, ge=0, le=1_000_000, description="likewise from one address")
    requests_per_minute: int = Field(default=1_200, ge=0, le=10_000_000, description="requests of any kind, of one token")
    refusals_per_minute: int = Field(default=60, ge=1, le=1_000_000, description="requests with no or a wrong token, from one address")
    megabytes_per_minute: int = Field(default=64, ge=0, le=1_000_000, description="sent by one token; 0: any number")
    concurrent_calls: int = Field(
        default=8, ge=1, le=1_000, description="tool calls of one token at work at the same time; further ones wait"
    )
    total_calls: int = Field(
        default=32, ge=2, le=10_000, description="tool calls of all at work at the same time, taken from the tenants in turn"
    )
    wait_seconds: float = Field(default=10.0, gt=0, le=600, description="longest that a call waits for its turn")
    memories_per_tenant: int = Field(default=0, ge=0, le=1_000_000_000, description="memories that a tenant may have; 0: any number")


class HttpSettings(Section):
    """Serving over HTTP: memory-mcp serve --http."""

    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(default=8765, ge=0, le=65_535, description="port to listen on; 0: a free one, which is told")
    unix_socket: str = Field(default="", description="a path to listen on instead of host and port")
    workers: int = Field(default=1, ge=1, le=64, description="processes that serve; each holds its own model and index")
    tls_certificate: str = Field(default="", description="a file in PEM, to serve https")
    tls_key: str = Field(default="", description="its private key, likewise")
    public_url: str = Field(default="", description="how clients reach it, like https://memory.example.com, if not by host and port")
    allowed_hosts: list[str] = Field(default=[], description="further names in the header Host; those of host and public_url are allowed")
    allowed_origins: list[str] = Field(
        default=[], description="web pages that may call, like https://app.example.com; without one, none may"
    )
    trusted_proxies: list[str] = Field(default=[], description="addresses of proxies that are believed what they say of their clients")
    api: bool = Field(
        default=True, description="serve JSON too, at /api/v1: the same tools to the same tokens, for what does not speak MCP"
    )
    sse: bool = Field(default=True, description="serve the older transport too, at /sse; with one worker alone")
    sessions: bool = Field(default=False, description="give clients of older protocols a session; with one worker alone")
    visibility: Literal["private", "shared"] = Field(
        default="shared", description="whether a memory is private to who stored it, or shared with its namespace, where nothing is said"
    )
    visibility_role: Literal["reader", "writer", "manager", "admin"] = Field(
        default="writer", description="the least role that may say so itself with each memory"
    )
    max_body_bytes: int = Field(default=4_194_304, ge=1_024, le=1_000_000_000, description="a larger request is refused")
    max_connections: int = Field(default=512, ge=1, le=100_000, description="open at the same time, for each worker")
    max_connections_per_address: int = Field(
        default=128, ge=1, le=100_000, description="of these from one address, unless it is a trusted proxy"
    )
    request_seconds: float = Field(default=20.0, gt=0, le=3_600, description="longest that a request may take to arrive whole")
    write_seconds: float = Field(default=20.0, gt=0, le=3_600, description="longest that a client may take nothing of an answer")
    shutdown_seconds: int = Field(default=5, ge=0, le=600, description="for calls at work when the server ends")
    limits: LimitSettings = LimitSettings()
    metrics: bool = Field(default=True, description="serve /metrics, to who has the role admin")
    metrics_token: SecretStr = Field(
        default=SecretStr(""), description="a token that opens /metrics and nothing else, of 16 characters or more; empty: none"
    )
    jwt: JwtSettings = JwtSettings()

    @model_validator(mode="after")
    def _that_fits(self) -> Self:
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("http.tls_certificate and http.tls_key belong together: set both or none")
        if self.workers > 1 and self.sessions:
            raise ValueError("http.sessions needs http.workers = 1: a session lives in one process")
        if self.jwt.issuer and not (self.jwt.audience or self.public_url):
            raise ValueError("http.jwt.issuer is set: set http.jwt.audience or http.public_url, too")
        if 0 < len(self.metrics_token.get_secret_value()) < 16:
            raise ValueError("http.metrics_token is too short: use 16 characters or more, from a generator")
        return self


class LogSettings(Section):
    """The log, in engine.log or of an isolated server on stderr; it never holds the text of a memory."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="lowest level that is written; debug: every call, too"
    )
    format: Literal["json", "logfmt"] = Field(default="json", description="a line of JSON for each event, or of key=value (logfmt)")


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(env_prefix="MEMORY_MCP_", env_nested_delimiter="__", extra="forbid", frozen=True)

    data_dir: Path = Field(default=DEFAULT_DATA_DIR, description="where everything is kept; not read from config.toml, which lies in it")
    namespace: str = Field(default="", description="the project to work in; empty: found from where the client works")
    tiers: dict[str, dict[str, Any]] | None = Field(
        default=None, description="what tiers of other packages are told, a table each: [tiers.NAME]; unset: nothing"
    )
    records: Annotated[SqliteSettings | PostgresSettings, Field(discriminator="backend")] = SqliteSettings()
    encryption: EncryptionSettings = EncryptionSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    stack: StackSettings = StackSettings()
    resident: ResidentSettings = ResidentSettings()
    cache: CacheSettings = CacheSettings()
    redis: RedisSettings = RedisSettings()
    qdrant: QdrantSettings = QdrantSettings()
    remember: RememberSettings = RememberSettings()
    recall: RecallSettings = RecallSettings()
    trash: TrashSettings = TrashSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()
    tools: ToolSettings = ToolSettings()
    engine: EngineSettings = EngineSettings()
    http: HttpSettings = HttpSettings()
    audit: AuditSettings = AuditSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _tables_of_tiers_that_are_asked(self) -> Self:
        if unused := sorted(set(self.tiers or {}) - set(self.stack.vectors)):
            raise ValueError(f"tiers.{unused[0]} is set, but stack.vectors does not name {unused[0]}")
        if own := sorted(set(self.tiers or {}) & set(OWN_TIERS)):
            raise ValueError(f"tiers.{own[0]} is for tiers of other packages: use [{own[0]}]")
        return self

    @model_validator(mode="after")
    def _nothing_beside_what_is_encrypted(self) -> Self:
        if self.encryption.on and self.records.backend != "sqlite":
            raise ValueError(
                "encryption is for memories in SQLite, while PostgreSQL's disks are encrypted by whoever runs it: remove encryption. (An "
                "encrypted file is copied to PostgreSQL while backend is still sqlite: memory-mcp migrate --to postgresql://...)"
            )
        if self.encryption.on and self.qdrant.path not in ("", ":memory:"):
            raise ValueError("qdrant.path keeps vectors in a folder that is not encrypted: remove it, name a server, or remove encryption")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments alone: what they come from is `load_settings`'s to know."""
        return (init_settings,)


def load_settings(
    *,
    data_dir: Path | None = None,
    namespace: str = "",
    environment: Mapping[str, str] | None = None,
    over: Mapping[str, Any] | None = None,
) -> Settings:
    """Read file and environment; nothing else in the package does.

    Args:
        data_dir: From the command line, over everything else.
        namespace: Likewise.
        environment: Somebody's variables, in place of those of this process.
        over: Further values from the command line, as the file would hold them.

    Raises:
        ConfigError: A key is unknown or a value is not allowed; the message names both, on one line.
    """
    environment = os.environ if environment is None else environment
    folder = in_full(data_dir or Path(environment.get("MEMORY_MCP_DATA_DIR") or DEFAULT_DATA_DIR))
    named = environment.get("MEMORY_MCP_CONFIG")
    path = expanded(Path(named)) if named else folder / CONFIG_NAME
    given = _read(path, must_exist=bool(named))
    if "data_dir" in given:
        raise ConfigError(f"{path}: data_dir cannot be set in the file that lies in it. Use --data-dir or MEMORY_MCP_DATA_DIR.")
    if isinstance(section := given.get("encryption"), Mapping) and section.get("key"):
        raise ConfigError(
            f"{path}: encryption.key cannot be set in the file that lies beside what it locks. Use key_file, key_command or keyring, or "
            f"set {KEY_VARIABLE}."
        )
    if fault := misnamed(environment, _keys_of_sections()):  # which pydantic passes over
        raise ConfigError(f"The environment is wrong: {fault} `memory-mcp config` lists all settings.")
    try:
        settings = Settings(**_over(_over(given, _read_variables(environment)), over or {}))
    except ValidationError as error:
        faults = "; ".join(explained(fault, _keys_of_sections()) for fault in error.errors(include_input=False))
        raise ConfigError(
            f"The configuration ({path} or the environment) is wrong: {faults}. `memory-mcp config` lists all settings."
        ) from None
    except SettingsError as error:
        raise ConfigError(f"The environment is wrong: {error}. Set single keys, like MEMORY_MCP_RECALL__CANDIDATES=200.") from None
    return settings.model_copy(update={"data_dir": folder, **({"namespace": namespace} if namespace else {})})


def _keys_of_sections() -> dict[str, frozenset[str]]:
    found = {}
    for name, field in Settings.model_fields.items():
        kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type) and issubclass(kind, BaseModel)]
        found[name] = frozenset(key for kind in kinds for key in kind.model_fields)
    return found


def _read_variables(environment: Mapping[str, str]) -> dict[str, Any]:
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in environment.items()}
    return source()


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One over the other, section by section."""
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        merged[key] = _over(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged


def _read(path: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if must_exist:
            raise ConfigError(f"{path}, named by MEMORY_MCP_CONFIG, does not exist.") from None
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
