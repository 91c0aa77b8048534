"""Histories of things that change, each with what is asked about it and what must never be answered any more.

Beside each stand memories that are like the ones that change, and are about something else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Step:
    """One thing that happens.

    Attributes:
        text: What is remembered, or what the memory is rewritten to.
        key: The key it is remembered under.
        replaces: Texts told before, which this is said to supersede.
        rewrites: A text told before, whose memory is updated in place.
        forgets: Likewise one that is forgotten.
        undoes: The last operation is undone.
        when: Its `occurred_at`.
    """

    text: str = ""
    key: str = ""
    replaces: Sequence[str] = ()
    rewrites: str = ""
    forgets: str = ""
    undoes: bool = False
    when: str = ""


@dataclass(frozen=True)
class Update:
    """A history.

    Attributes:
        questions: Each with the text that answers it in the end; empty: nothing does.
        beside: Texts that are alike, each with a question of its own; none of them may be hidden.
    """

    name: str
    steps: Sequence[Step]
    questions: Sequence[tuple[str, str]]
    beside: Sequence[tuple[str, str]] = field(default=())


UPDATES = [
    Update(
        "A to B, by key",
        [Step("Ada's favourite editor is Vim", "ada.editor"), Step("Ada's favourite editor is Helix", "ada.editor")],
        [("Which editor does Ada like best?", "Ada's favourite editor is Helix")],
        [
            ("Ben's favourite editor is Vim", "Which editor does Ben like best?"),
            ("Ada's favourite shell is fish", "Which shell does Ada use?"),
        ],
    ),
    Update(
        "A to B and back to A, by key",
        [
            Step("The staging database runs on db7", "staging.host"),
            Step("The staging database runs on db9", "staging.host"),
            Step("The staging database runs on db7", "staging.host"),
        ],
        [("Where does the staging database run?", "The staging database runs on db7")],
        [("The production database runs on db9", "Where does the production database run?")],
    ),
    Update(
        "A to B to A to B, by key",
        [Step(f"The release train leaves on {day}", "release.day") for day in ("Tuesday", "Thursday", "Tuesday", "Thursday")],
        [("On which day does the release train leave?", "The release train leaves on Thursday")],
        [("The newsletter leaves on Tuesday", "On which day does the newsletter go out?")],
    ),
    Update(
        "A to B, by what the receipt named",
        [
            Step("Grandmother lives in Porto"),
            Step("Grandmother lives in Lisbon", replaces=["Grandmother lives in Porto"]),
        ],
        [("Where does grandmother live?", "Grandmother lives in Lisbon")],
        [("Grandfather lives in Porto", "Where does grandfather live?")],
    ),
    Update(
        "A to B and back to A, by what the receipt named",
        [
            Step("The piano stands in the hall"),
            Step("The piano stands in the library", replaces=["The piano stands in the hall"]),
            Step("The piano stands in the hall", replaces=["The piano stands in the library"]),
        ],
        [("Where does the piano stand?", "The piano stands in the hall")],
        [("The harp stands in the library", "Where does the harp stand?")],
    ),
    Update(
        "told first, said to replace only then",
        [
            Step("The gym opens at six"),
            Step("The gym opens at seven"),
            Step("The gym opens at seven", replaces=["The gym opens at six"]),
        ],
        [("When does the gym open?", "The gym opens at seven")],
        [("The pool opens at six", "When does the pool open?")],
    ),
    Update(
        "one of two statements in a text changes",
        [
            Step("Noor works at Acme and plays the cello"),
            Step("Noor works at Initech", replaces=["Noor works at Acme and plays the cello"]),
            Step("Noor plays the cello"),
        ],
        [("Where does Noor work?", "Noor works at Initech"), ("Which instrument does Noor play?", "Noor plays the cello")],
        [("Noor's brother works at Acme", "Where does Noor's brother work?")],
    ),
    Update(
        "two texts that overlap become one",
        [
            Step("The boat is moored in Kiel"),
            Step("The boat is moored in Kiel and painted blue"),
            Step(
                "The boat is moored in Flensburg and painted white",
                replaces=["The boat is moored in Kiel", "The boat is moored in Kiel and painted blue"],
            ),
        ],
        [("Where is the boat moored?", "The boat is moored in Flensburg and painted white")],
        [("The dinghy is moored in Kiel and painted blue", "Where is the dinghy moored?")],
    ),
    Update(
        "corrected in place",
        [Step("The door code is 4711"), Step("The door code is 1174", rewrites="The door code is 4711")],
        [("What is the door code?", "The door code is 1174")],
        [("The garage code is 4711", "What is the garage code?")],
    ),
    Update(
        "corrected in place, and back",
        [
            Step("The cat takes half a tablet"),
            Step("The cat takes a whole tablet", rewrites="The cat takes half a tablet"),
            Step("The cat takes half a tablet", rewrites="The cat takes a whole tablet"),
        ],
        [("How much of the tablet does the cat take?", "The cat takes half a tablet")],
        [("The dog takes a whole tablet", "How much of the tablet does the dog take?")],
    ),
    Update(
        "a replacement that is undone",
        [
            Step("The meeting room is called Ganymede", "room.name"),
            Step("The meeting room is called Callisto", "room.name"),
            Step(undoes=True),
        ],
        [("What is the meeting room called?", "The meeting room is called Ganymede")],
        [("The printer is called Callisto", "What is the printer called?")],
    ),
    Update(
        "a correction that is undone",
        [
            Step("The train to Graz takes three hours"),
            Step("The train to Graz takes four hours", rewrites="The train to Graz takes three hours"),
            Step(undoes=True),
        ],
        [("How long does the train to Graz take?", "The train to Graz takes three hours")],
        [("The train to Linz takes four hours", "How long does the train to Linz take?")],
    ),
    Update(
        "told in the wrong order",
        [
            Step("The office moved to Harbour Street", "office.street", when="2026-05-01"),
            Step("The office moved to Mill Lane", "office.street", when="2024-02-01"),
        ],
        [("In which street is the office?", "The office moved to Harbour Street")],
        [("The warehouse moved to Mill Lane", "In which street is the warehouse?")],
    ),
    Update(
        "no longer true, and nothing in its place",
        [Step("The lift is out of order"), Step(forgets="The lift is out of order")],
        [("Is the lift out of order?", "")],
        [("The coffee machine is out of order", "Is the coffee machine out of order?")],
    ),
    Update(
        "forgotten, and true again",
        [
            Step("The bridge is closed for lorries", "bridge.lorries"),
            Step(forgets="The bridge is closed for lorries"),
            Step("The bridge is closed for lorries", "bridge.lorries"),
        ],
        [("Is the bridge closed for lorries?", "The bridge is closed for lorries")],
        [("The tunnel is closed for lorries", "Is the tunnel closed for lorries?")],
    ),
    Update(
        "terse values of two keys",
        [Step("port 8080", "api.port"), Step("port 8080", "web.port"), Step("port 9090", "api.port")],
        [("api port", "port 9090")],
        [],
    ),
]
