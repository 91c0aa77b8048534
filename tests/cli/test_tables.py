"""What `stats` shows a person, in a person's words."""

import io

from rich.console import Console

from memory_mcp.cli.tables import print_statistics

FACTS = {
    "namespace": "project",
    "counts": {
        "memories": 1200,
        "archived": 20,
        "by_namespace": {"project": 1200},
        "by_kind": {"fact": 1200},
        "forgotten": 0,
        "superseded": 3,
        "unembedded": 2,
        "operations": 1203,
        "bytes_on_disk": 2048,
    },
    "tiers": {
        "sqlite": {"role": "records", "health": "ok", "encrypted": False, "path": "/data"},
        "resident": {
            "role": "vectors",
            "health": "ok",
            "answered_by": {"resident": 25, "records": 0},
            "bytes": 310,
            "budget_bytes": 1 << 29,
        },
    },
    "model": {"name": "small", "phase": "ready", "detail": "", "texts_per_second": 149.8},
}


def test_figures_are_told_in_words() -> None:
    out = io.StringIO()
    print_statistics(Console(file=out, width=200), FACTS)
    rows = [" ".join(line.split()) for line in out.getvalue().splitlines()]

    assert {"live 1,180", "archived 20", "found by words only 2", "on disk 2.0 KiB"} <= set(rows)
    assert "texts per second 149.8" in rows
    assert "sqlite ok (records), encrypted no, in /data" in rows
    assert "resident ok (vectors), answered by resident 25 / records 0, holds 310 bytes, may hold 512.0 MiB" in rows
