"""Texts of every sort, none of them among those that compiling compares with."""

TEXTS = [
    "We moved the staging cluster to Frankfurt on 3 March.",
    "we moved the staging cluster to frankfurt on 3 march",
    "Le café était fermé; on s'est retrouvés à la bibliothèque.",
    "昨天的会议取消了",
    "🙂",
    " ",
    "x = {k: v for k, v in pairs if v is not None}",
    "one two three " * 300,
    *(f"The customer {i} prefers " + "short and clear " * (i % 7) + "answers." for i in range(20)),
]
