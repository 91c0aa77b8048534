"""Whatever a client's file looks like: what is put in comes out again, and nothing else is touched."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.cli.install import jsonc
from memory_mcp.cli.install.json_edit import append, put, remove, value_at
from memory_mcp.cli.install.plans import to_install, to_uninstall
from memory_mcp.cli.install.rules import RulesSlot
from memory_mcp.cli.install.slots import JsonSlot, TomlSlot

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8"))
)
KEYS = st.sampled_from(["mcpServers", "a", "b", "//", "é"]) | st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)
INDENTS = st.sampled_from([None, 0, 1, 2, 3, 4, 8, "\t"])
SPACE = st.sampled_from(["", " ", "\n", "\r\n", "\t", "  \n", "// note\n", "/* note */", "/*{*/ ", "\n\n"])
ENTRY = {"command": "/opt/memory-mcp", "args": ["serve"]}
SERVERS = JsonSlot(("mcpServers", "memory"))


@st.composite
def dumped(draw: st.DrawFn) -> str:
    """An object as a program writes it."""
    servers = draw(st.none() | st.dictionaries(KEYS.filter("memory".__ne__), VALUES, max_size=3))
    value = draw(OBJECTS) | ({} if servers is None else {"mcpServers": servers})
    if not isinstance(value.get("mcpServers", {}), dict) or "memory" in value.get("mcpServers", {}):
        del value["mcpServers"]
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (",", ": ")]))
    text = json.dumps(value, indent=draw(INDENTS), separators=separators, ensure_ascii=draw(st.booleans()))
    return (
        draw(st.sampled_from(["", "\ufeff"]))
        + text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))
        + draw(st.sampled_from(["", "\n", " \r\n"]))
    )


@st.composite
def scribbled(draw: st.DrawFn, depth: int = 2, *, servers: bool = True) -> str:
    """An object as a person writes it: comments, trailing commas, any white space anywhere."""
    keys = draw(st.lists(st.sampled_from(["a", "b", "c", *(["mcpServers"] if servers else [])]), unique=True, max_size=3))
    text = "{" + draw(SPACE)
    for number, key in enumerate(keys):
        nested = key == "mcpServers" or (depth and draw(st.booleans()))
        value = (
            draw(scribbled(max(depth - 1, 0), servers=False))
            if nested
            else draw(st.sampled_from(["1", "[]", "[1,\n2]", '"x // y"', "null"]))
        )
        text += json.dumps(key) + draw(SPACE) + ":" + draw(SPACE) + value + draw(SPACE)
        if number < len(keys) - 1 or draw(st.booleans()):
            text += "," + draw(SPACE)
    return text + "}"


@given(dumped() | scribbled())
def test_what_is_installed_can_be_uninstalled_without_a_trace(text: str) -> None:
    added = to_install(SERVERS, text, lambda _: ENTRY, lambda _: True)
    assert added.kind == "add"
    assert added.text is not None
    again = to_install(SERVERS, added.text, lambda _: ENTRY, lambda _: True)
    gone = to_uninstall(SERVERS, added.text, [text], lambda _: True)
    before, after = dict(jsonc.parse(text).root.value), dict(jsonc.parse(added.text).root.value)
    assert after.pop("mcpServers") == {**before.pop("mcpServers", {}), "memory": ENTRY}

    assert after == before
    assert again.kind == "same"
    assert gone.restores
    assert gone.text == text
    # nothing was taken away or moved, only put between
    rest_of = iter(added.text)
    assert all(character in rest_of for character in text)


@given(dumped() | scribbled(), st.data())
def test_anything_can_be_taken_out_of_the_midst(text: str, data: st.DataObject) -> None:
    added = SERVERS.put(text, ENTRY)
    others = [key for key in jsonc.parse(added).root.value if key != "mcpServers"]
    for key in data.draw(st.permutations(others)):
        added = remove(added, (key,))
    rest = SERVERS.take(added, text)

    assert rest is not None
    assert set(jsonc.parse(rest).root.value) <= {"mcpServers"}


@given(dumped() | scribbled(), VALUES, VALUES)
def test_a_value_can_be_replaced_and_items_added_anywhere(text: str, first: Any, second: Any) -> None:
    named = put(text, ("new", "x"), first)
    replaced = put(named, ("new", "x"), second)
    listed = append(append(replaced, ("list",), first), ("list",), second)

    assert value_at(replaced, ("new", "x")) == second or second is None
    assert value_at(listed, ("list",)) == [first, second]
    assert value_at(remove(listed, ("list", 0)), ("list",)) == [second]
    assert value_at(remove(listed, ("list", 1)), ("list",)) == [first]
    assert jsonc.parse(remove(remove(listed, ("list",)), ("new",))).root.value == jsonc.parse(text).root.value


TOML_LINES = st.lists(
    st.sampled_from(
        [
            "",
            "# a comment [x]",
            'a%d = "b"',
            "a%d = 1 # note",
            "a%d = [\n  1, # ]\n  2,\n]",
            "[t%d]",
            "[[l%d]]",
            "[mcp_servers.s%d]",
            "mcp_servers.d%d.command = 'x'",
            'a%d = """\n[mcp_servers.memory]\n"""',
            "a%d = { b = '}', c = [{ d = 1 }] }",
            "a%d = 1979-05-27 07:32:00",
        ]
    ),
    max_size=8,
)


@given(TOML_LINES, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.sampled_from(["", "\ufeff"]))
def test_a_table_that_is_added_can_be_taken_out_without_a_trace(lines: list[str], newline: str, ended: bool, mark: str) -> None:
    numbered = [line % number if "%d" in line else line for number, line in enumerate(lines)]
    text = mark + ("\n".join(numbered) + ("\n" if ended else "")).replace("\n", newline)
    slot = TomlSlot(("mcp_servers", "memory"))
    added = to_install(slot, text, lambda _: ENTRY, lambda _: True)
    assert added.text is not None, added.reason
    gone = to_uninstall(slot, added.text, [text], lambda _: True)
    alone = slot.take(added.text, text)

    assert slot.find(added.text) == ENTRY
    assert to_install(slot, added.text, lambda _: ENTRY, lambda _: True).kind == "same"
    assert gone.text == text
    assert alone is not None
    assert alone.split() == text.split()


@given(
    st.lists(st.sampled_from(["# Title", "", "text", "- item", "<!-- other -->"]), max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_rules_come_out_of_a_text_as_they_came_in(lines: list[str], newline: str, ended: bool) -> None:
    text = newline.join(lines) + (newline if ended else "")
    slot = RulesSlot()
    added = slot.put(text, {"rules": "## Memory\n\n- one"})
    updated = slot.put(added, {"rules": "two"})

    assert slot.find(added) == {"rules": "## Memory\n\n- one"}
    assert slot.take(added, None) == text
    assert slot.take(updated, None) == text
