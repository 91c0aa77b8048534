"""A server that is attacked, its issuer, and two tenants that work in namespaces of the same name.

What globex keeps there, of every kind that there is, nobody of acme may ever hear of.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from tests import issuers
from tests.http_servers import Serving, client_of, new_token, serving, tell
from tests.issuers import Issuer, issuing

SECRET = "The vault of Globex opens with the tune of Greensleeves."
WORDS = ("Greensleeves", "Globex", "globex", "Evelyn", "OrganPipeError")
"""What gives globex away, wherever it is read; none of it is in what acme asks."""
MORE = """
[http]
request_seconds = 1.5
write_seconds = 1.5
max_body_bytes = 100000
max_connections = 60
max_connections_per_address = 40
allowed_origins = ["https://app.example.com"]
[tools]
sets = ["learning", "graph", "compat"]
[http.limits]
calls_per_minute = 0
address_calls_per_minute = 0
refusals_per_minute = 100000
requests_per_minute = 0
[http.jwt]
issuer = "{issuer}"
audience = "{audience}"
jwks_url = "{url}"
[http.jwt.roles]
writer = ["memory-writers", "memory:write"]
"""


@dataclass
class Scene:
    """What an attack needs to know.

    Attributes:
        tokens: By who bears them; `lab` is acme's manager and `heist` globex's, both at work in the namespace lab.
        ids: Of what globex keeps, by what it is.
        operations: Numbers of what globex has done.
        confirm: What globex's own dry run gave it.
        cursor: Of globex's question "Which tune is it?".
    """

    server: Serving
    issuer: Issuer
    tokens: dict[str, str]
    ids: dict[str, str] = field(default_factory=dict)
    operations: list[str] = field(default_factory=list)
    confirm: str = ""
    cursor: str = ""


@contextmanager
def scene_in(folder: Path) -> Iterator[Scene]:
    """The scene, set up on a folder."""
    tokens = anyio.run(_tokens_of_all, folder)
    with issuing() as (issuer, url):
        more = MORE.format(issuer=issuers.NAME, audience=issuers.AUDIENCE, url=url)
        with serving(folder, more) as server:
            scene = Scene(server, issuer, tokens)
            anyio.run(_hide, scene)
            yield scene


async def _tokens_of_all(folder: Path) -> dict[str, str]:
    return {
        "ann": await new_token(folder, "acme", "ann", "writer"),
        "bob": await new_token(folder, "acme", "bob", "writer"),
        "rita": await new_token(folder, "acme", "rita", "reader"),
        "max": await new_token(folder, "acme", "max", "manager"),
        "ada": await new_token(folder, "acme", "ada", "admin"),
        "lab": await new_token(folder, "acme", "lars", "manager", namespaces=("lab",)),
        "eve": await new_token(folder, "globex", "eve", "admin"),
        "heist": await new_token(folder, "globex", "eve", "manager", namespaces=("lab",)),
        "expired": await new_token(folder, "acme", "ann", "admin", expires_in=0.001),
    }


async def _hide(scene: Scene) -> None:
    """Store what globex has: of every kind one, with a past, related, found and not found, forgotten."""
    async with client_of(scene.server, scene.tokens["heist"]) as client:

        async def do(name: str, tool: str, **arguments: Any) -> dict[str, Any]:
            done = await tell(client, tool, **arguments)
            if "operation" in done:
                scene.operations.append(str(done["operation"]))
            if "id" in done:
                scene.ids[name] = done["id"]
            return done

        relations = ["Evelyn | guards | vault"]
        await do("secret", "remember", content=SECRET, tags=["tune"], metadata={"entities": ["vault"], "relations": relations})
        await do("past", "remember", content="The tune of Globex was Yankee Doodle, said Evelyn.", key="vault/tune", session_id="s1")
        await do("present", "remember", content="The tune of Globex is Greensleeves, said Evelyn.", key="vault/tune", session_id="s1")
        await do("", "update", id=scene.ids["secret"], content=f"{SECRET} Played twice.", importance=0.9)
        await do("decision", "remember", content="Globex decided to play Greensleeves.", kind="decision")
        await do("gone", "remember", content="Globex hums Greensleeves.")
        await do("", "forget", ids=[scene.ids["gone"]])
        error = "OrganPipeError: the vault did not open"
        seen = await do("error", "record_error", error=error, solution="Play Greensleeves in D minor, as Globex does.")
        scene.ids["error"] = seen.get("id", scene.ids.get("error", ""))
        await do("", "find_solution", problem=error)
        await do("", "relate", relations=["Globex | owns | vault"], source=scene.ids["secret"])
        await do("", "create_entities", entities=[{"name": "vault", "entityType": "safe", "observations": ["Globex plays Greensleeves"]}])
        await do("", "recall", query="What does Evelyn have for lunch at Globex?")
        scene.cursor = (await do("", "recall", query="Which tune is it?", limit=1))["cursor"]
        scene.confirm = (await do("", "forget", tags=["tune"]))["confirm"]
