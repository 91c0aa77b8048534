"""Imports run down only, drivers stay in their rooms, a start stays light, and files stay short."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "memory_mcp"
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in sorted(PACKAGE.rglob("*.py"))}

FLOORS = [
    {"memory_mcp.__main__"},
    {"memory_mcp.cli"},
    {"memory_mcp.engine"},
    {"memory_mcp.assembly"},
    {"memory_mcp.vector_tiers"},
    {"memory_mcp.server"},
    {"memory_mcp.service"},
    {"memory_mcp.answers"},
    {"memory_mcp.upkeep"},
    {"memory_mcp.remember", "memory_mcp.recall", "memory_mcp.knowledge"},
    {"memory_mcp.config"},
    {"memory_mcp.tiers", "memory_mcp.embedding"},
    {"memory_mcp.contracts"},
    {
        "memory_mcp.client",
        "memory_mcp.pages",
        "memory_mcp.states",
        "memory_mcp.folders",
        "memory_mcp.partials",
        "memory_mcp.graph",
        "memory_mcp.namespaces",
        "memory_mcp.log",
        "memory_mcp.hygiene",
        "memory_mcp.tokens",
    },
    {"memory_mcp.models", "memory_mcp.faults"},
    {
        "memory_mcp.errors",
        "memory_mcp.portable",
        "memory_mcp.replies",
        "memory_mcp.audit",
    },
    {"memory_mcp.text", "memory_mcp.telemetry"},
    {
        "memory_mcp.access",
        "memory_mcp.slips",
        "memory_mcp.clock",
        "memory_mcp.counted",
        "memory_mcp.loopback",
        "memory_mcp.handover",
        "memory_mcp.front",
    },
    {"memory_mcp"},
]
"""From the top; a room imports itself and what lies below, never a neighbour."""

BACKENDS_SEE = {
    "access",
    "audit.chain",
    "audit.entries",
    "clock",
    "contracts",
    "contracts.undoing",
    "errors",
    "folders",
    "graph",
    "handover",
    "loopback",
    "models",
    "partials",
    "portable",
    "states",
    "telemetry.instruments",
    "telemetry.timing",
    "telemetry.tracing",
    "text.entities",
    "text.terms",
    "text.timewords",
    "text.words",
    "tokens",
}
"""What `tiers` and `embedding` may import besides their own package."""

MAY_SEE_BACKENDS = {
    "memory_mcp.assembly": ("memory_mcp.tiers.", "memory_mcp.embedding."),
    "memory_mcp.config": (
        "memory_mcp.embedding.settings",
        "memory_mcp.tiers.redis.settings",
        "memory_mcp.tiers.qdrant.settings",
        "memory_mcp.tiers.postgres.settings",
        "memory_mcp.tiers.sqlite.settings",
    ),
    "memory_mcp.vector_tiers": ("memory_mcp.tiers.",),
    "memory_mcp.cli.configured": ("memory_mcp.tiers.sqlite",),
    "memory_mcp.cli.copies": ("memory_mcp.tiers.sqlite",),
    "memory_mcp.cli.where": ("memory_mcp.tiers.sqlite",),
    "memory_mcp.cli.encryption": ("memory_mcp.tiers.sqlite",),
    "memory_mcp.cli.checks": (
        "memory_mcp.tiers.sqlite",
        "memory_mcp.embedding.opening",
        "memory_mcp.tiers.redis.client",
        "memory_mcp.tiers.qdrant.faults",
        "memory_mcp.tiers.postgres.settings",
    ),
    "memory_mcp.cli.erase": ("memory_mcp.tiers.sqlite",),
    "memory_mcp.cli.checks_postgres": ("memory_mcp.tiers.postgres",),
    "memory_mcp.cli.migrate": (
        "memory_mcp.tiers.postgres",
        "memory_mcp.tiers.sqlite",
    ),
    "memory_mcp.cli.places": (
        "memory_mcp.tiers.postgres.settings",
        "memory_mcp.tiers.sqlite.database",
    ),
    "memory_mcp.cli.install.purge": ("memory_mcp.tiers.sqlite",),
}

DRIVERS = {
    "apsw": "memory_mcp.tiers.sqlite",
    "keyring": "memory_mcp.tiers.sqlite",
    "redis": "memory_mcp.tiers.redis",
    "qdrant_client": "memory_mcp.tiers.qdrant",
    "grpc": "memory_mcp.tiers.qdrant",
    "portalocker": "memory_mcp.tiers.qdrant",
    "psycopg": "memory_mcp.tiers.postgres",
    "psycopg_pool": "memory_mcp.tiers.postgres",
    "pgvector": "memory_mcp.tiers.postgres",
    "cupy": "memory_mcp.tiers.resident",
    "numkong": "memory_mcp.tiers.resident.quantized",
    "Stemmer": "memory_mcp.text.terms",
    "onnxruntime": "memory_mcp.embedding",
    "sentence_transformers": "memory_mcp.embedding",
    "torch": "memory_mcp.embedding",
    "typer": "memory_mcp.cli",
    "rich": "memory_mcp.cli",
    "mcp": ("memory_mcp.server", "memory_mcp.client"),
    "starlette": "memory_mcp.server.http",
    "uvicorn": "memory_mcp.server.http",
    "h11": "memory_mcp.server.http",
    "jwt": "memory_mcp.server.http",
    "prometheus_client": "memory_mcp.server.http",
    "opentelemetry": "memory_mcp.telemetry.tracing",
}
"""Each import at home in one room, but for the SDK, of which there are two halves."""
EXCEPTIONS = {("memory_mcp.assembly", "apsw"), ("memory_mcp.cli.checks", "apsw"), ("memory_mcp.cli.hook", "mcp")}
"""Two tell the version of SQLite; the hook is a client."""

ON_REQUEST = ("memory_mcp", "memory_mcp.client")
"""The package names `MemoryClient`, and loads it when somebody asks for it."""

HEAVY = [
    "numpy",
    "torch",
    "sentence_transformers",
    "onnxruntime",
    "qdrant_client",
    "grpc",
    "redis",
    "psycopg",
    "typer",
    "apsw",
    "rich.console",
    "prometheus_client",
    "opentelemetry.sdk",
]
MAX_LINES = 450


def imports_of(module: str) -> Iterator[str]:
    """Every module a module imports, wherever in the file, for types only or not."""
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            assert node.module
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module
        elif isinstance(node, ast.Call) and "import_module" in {name.id for name in (node.func, *node.args) if isinstance(name, ast.Name)}:
            yield from (text.value for text in node.args if isinstance(text, ast.Constant) and isinstance(text.value, str))


def within(module: str, room: str) -> bool:
    return module == room or (room != "memory_mcp" and module.startswith(f"{room}."))


def floor_of(module: str) -> tuple[int, str]:
    (found,) = [(number, room) for number, rooms in enumerate(FLOORS) for room in rooms if within(module, room)]
    return found


IMPORTS = [(module, imported) for module in MODULES for imported in sorted(set(imports_of(module)))]
OWN = [(module, imported) for module, imported in IMPORTS if imported in MODULES]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_floor(module: str) -> None:
    assert floor_of(module)


def test_imports_run_down_only() -> None:
    wrong = []
    for module, imported in OWN:
        (floor, room), (other_floor, other_room) = floor_of(module), floor_of(imported)
        if room != other_room and other_floor <= floor and (module, imported) != ON_REQUEST:
            wrong.append(f"{module} -> {imported}")

    assert wrong == []


def test_backends_import_little_and_are_imported_by_the_composition_root() -> None:
    wrong = []
    for module, imported in OWN:
        room, other = floor_of(module)[1], floor_of(imported)[1]
        backends = {"memory_mcp.tiers", "memory_mcp.embedding"}
        if room in backends and other != room and imported.removeprefix("memory_mcp.") not in BACKENDS_SEE:
            wrong.append(f"{module} -> {imported}")
        if other in backends and room != other and not imported.startswith(MAY_SEE_BACKENDS.get(module, ("never",))):
            wrong.append(f"{module} -> {imported}")

    assert wrong == []


def test_tiers_know_nothing_of_each_other() -> None:
    """Each backend is one package or file; what puts them together is the stack, which knows them by their contracts.

    The guard is no backend but what stands before one.
    """

    def backend(module: str) -> str:
        return module.split(".")[2] if module.startswith("memory_mcp.tiers.") else ""

    pairs = [(a, b) for a, b in OWN if backend(a) and backend(b) and backend(a) != backend(b)]
    assert [(a, b) for a, b in pairs if backend(b) != "guard"] == []


def test_no_imports_run_in_a_circle() -> None:
    graph = {module: {imported for importer, imported in OWN if importer == module} for module in MODULES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path, module])
        if module not in done:
            for imported in graph[module] - {"memory_mcp"}:
                visit(imported, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


def test_each_driver_is_imported_in_its_own_room() -> None:
    wrong = [
        f"{module} -> {imported}"
        for module, imported in IMPORTS
        if (homes := DRIVERS.get(imported.partition(".")[0]))
        and not any(within(module, home) for home in ([homes] if isinstance(homes, str) else homes))
        and (module, imported) not in EXCEPTIONS
    ]

    assert wrong == []


def test_there_is_one_sqlite_library() -> None:
    """Two of them in one process destroy each other's locks (rule R2)."""
    assert [module for module, imported in IMPORTS if imported.partition(".")[0] == "sqlite3"] == []


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT)
    return set(done.stdout.splitlines())


def test_a_front_loads_nothing_but_itself_and_little_of_the_standard_library() -> None:
    """Each client has one: what it does not load, nobody waits for and nobody's memory holds eight times."""
    loaded = loaded_after("from memory_mcp import __main__; import memory_mcp.front.process") - loaded_after("pass")
    own = {name for name in loaded if name.startswith("memory_mcp.")}
    costly = {"argparse", "asyncio", "dataclasses", "inspect", "logging", "pathlib", "subprocess", "tempfile", "typing", "uuid"}

    assert "memory_mcp.front.relay" in own
    assert {name for name in own if not name.startswith(("memory_mcp.front", "memory_mcp.__main__"))} == set()
    assert {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names == {"memory_mcp"}
    assert loaded & costly == set()


def test_the_front_knows_nothing_of_the_rest() -> None:
    assert [(a, b) for a, b in OWN if within(a, "memory_mcp.front") and not within(b, "memory_mcp.front") and b != "memory_mcp"] == []


def test_an_engine_listens_before_it_loads_anything_heavy() -> None:
    loaded = loaded_after("import memory_mcp.engine.process, argparse") - loaded_after("pass")

    assert {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names == {"memory_mcp"}
    assert {
        name for name in loaded if name.startswith("memory_mcp.") and not name.startswith(("memory_mcp.front", "memory_mcp.engine"))
    } == set()
    assert "asyncio" not in loaded


def test_an_engine_starts_light() -> None:
    """What its first clients wait for; NumPy and SQLite come behind the handshake."""
    loaded = loaded_after("import memory_mcp.engine.host")

    assert [name for name in HEAVY if name in loaded] == []
    assert [name for name in loaded if name.startswith("memory_mcp.server.http")] == []


def test_an_isolated_server_starts_light() -> None:
    loaded = loaded_after("import memory_mcp.cli.serve")

    assert "memory_mcp.server.app" in loaded
    assert [name for name in HEAVY if name in loaded] == []
    assert [name for name in loaded if name.startswith("memory_mcp.server.http")] == []


def test_the_client_needs_no_server() -> None:
    loaded = loaded_after("from memory_mcp import MemoryClient")

    assert [name for name in HEAVY if name in loaded] == []
    assert [name for name in loaded if name.startswith(("memory_mcp.server", "memory_mcp.service", "memory_mcp.config"))] == []


def test_importing_the_package_does_nothing() -> None:
    loaded = loaded_after("import memory_mcp")

    assert [name for name in loaded if name.startswith(("memory_mcp.", "pydantic", "mcp"))] == []


def test_files_have_a_readable_size() -> None:
    sources = [*MODULES.values(), *(ROOT / "examples").rglob("*.py")]
    sizes = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in sources}

    assert {name: size for name, size in sizes.items() if size > MAX_LINES} == {}


def test_the_table_of_floors_names_every_room_once() -> None:
    rooms = sorted(room for rooms in FLOORS for room in rooms)

    assert [room for room, same in groupby(rooms) if len(list(same)) > 1] == []
    assert [room for room in rooms if room not in MODULES] == []
