"""Text that reads as if it wanted to command whoever reads it, or to pass for something other than a memory. Pure.

A rule that a person would store ("always run the tests") is not meant: what is looked for speaks to a model about its
instructions, its role or its user, or imitates the marks between the parts of a conversation, a call of a tool, or a reply.
"""

import re
import unicodedata
from functools import cache, partial

from memory_mcp.hygiene.hidden import without

_WHAT = r"(?:instructions?|prompts?|directions?|directives?|guidelines?|commands?|orders?|programming|training|context|messages?|rules)"
_EARLIER = r"(?:previous|prior|above|earlier|preceding|foregoing|existing|original|initial|former|system|developer|safety|other)"
_MODEL = r"(?:assistant|claude|chatgpt|gpt|gemini|copilot)"
_ROLE = r"(?:system|assistant|user|human|developer|ai|tool|function)"

_ORDERS: tuple[tuple[str, str], ...] = (
    (
        "ignore|disregard|forget|override|bypass|discard|follow",
        rf"\b(?:ignore|disregard|forget|override|bypass|discard|do not follow|don't follow|stop following)\s+"
        rf"(?:[\w']+\s+){{0,4}}?{_EARLIER}\s+(?:\w+\s+){{0,2}}?{_WHAT}\b",
    ),
    (
        "ignore|disregard|forget|override|bypass",
        rf"\b(?:ignore|disregard|forget|override|bypass)\s+(?:all\s+(?:of\s+)?)?your\s+(?:\w+\s+)?{_WHAT}\b",
    ),
    (
        "ignore|disregard|forget",
        r"\b(?:ignore|disregard|forget)\s+(?:everything|all|anything)\s+(?:(?:that\s+)?(?:you|i)\b|(?:above|before|so far)\b)",
    ),
    ("you are ", r"\byou are (?:now|no longer)\s+(?:a|an|the|in|my|bound|restricted|limited|allowed|free|dan)\b"),
    (" must ", rf"\b(?:you|the (?:assistant|model|ai)|{_MODEL})\s+must\s+(?:now|always now|immediately)\b"),
    (
        "from now on",
        rf"\bfrom now on,?\s+(?:you(?:'ll)?|the (?:assistant|model|ai)|{_MODEL})\s+"
        r"(?:are|will|must|shall|should|act|answer|respond|have to|only)\b",
    ),
    (" as if you ", r"\b(?:act|behave|respond|answer) as if you (?:were|are|had|have) (?:no|not|an? (?:unrestricted|uncensored|other))\b"),
    ("pretend", r"\bpretend (?:that )?(?:you|to be)\b.{0,40}\b(?:no (?:rules|restrictions|limits)|unrestricted|uncensored|another)\b"),
    (
        " mode |jailbroken",
        r"\b(?:developer|debug|god|admin|dan|jailbreak) mode (?:is )?(?:now )?(?:on|enabled|activated|unlocked)\b|\bjailbroken\b",
    ),
    (" your ", rf"\b(?:this|these|here) (?:is|are) your (?:new|real|actual|true) (?:\w+\s+)?{_WHAT}\b"),
    ("new ", rf"\bnew (?:system )?{_WHAT} (?:for|to) (?:you|the (?:assistant|model|ai)|{_MODEL})\b|\bnew system prompt:"),
    (
        " your ",
        r"\b(?:reveal|print|show|repeat|output|leak|disclose|send|exfiltrate)\s+(?:me\s+|us\s+)?(?:all\s+(?:of\s+)?)?your\s+(?:\w+\s+)?"
        r"(?:instructions|prompt|system message|memory|memories|secrets|keys|credentials)\b",
    ),
    (
        "the user|the human|the operator",
        r"\b(?:without|never|do not|don't|avoid) (?:telling|informing|asking|alerting|notifying|tell|inform|ask|alert|notify"
        r"|mention(?:ing)? (?:this|it) to|reveal(?:ing)? (?:this|it) to) the (?:user|human|operator)"
        r"(?: (?:about|of) (?:this|it|that)\b|[.!,;]|$)",
    ),
    (
        "you read|you see|you recall|you process|you receive",
        r"\b(?:when|if|whenever) you (?:read|see|recall|process|receive) this\b.{0,60}"
        r"\b(?:call|run|execute|send|delete|fetch|open|write|forward|must)\b",
    ),
    (" tool ", r"\b(?:call|use|invoke|run|execute) (?:the )?[\w-]{2,40} tool (?:now|immediately|and (?:then )?send|without)\b"),
    (
        "send|post|upload|forward|exfiltrate|email",
        r"\b(?:send|post|upload|forward|exfiltrate|email)\b.{0,60}"
        r"\b(?:conversation|chat history|api keys?|credentials|secrets|passwords|memories"
        r"|env(?:ironment)? variables)\b.{0,40}\b(?:to|at)\s+(?:https?://|\S{1,80}@)",
    ),
    (
        "<|",
        r"<\|(?:im_start|im_end|system|assistant|user|endoftext|eot_id|start_header_id|end_header_id|begin_of_text|channel|message)\|>",
    ),
    ("inst]|<<sys|<</sys|of_turn>", r"\[/?inst\]|<</?sys>>|<(?:start|end)_of_turn>"),
    (
        "prompt|message|instruction|note|override",
        rf"(?:^|\n)\s*(?:#{{1,4}}\s*)?\[?(?:new |updated )?{_ROLE} (?:prompt|message|instructions?|note|override)\]?\s*[:>]",
    ),
    (
        "system|assistant|user|human|developer",
        rf"(?:^|\n)\s*\[?{_ROLE}\]?\s*:\s*(?:you\b|ignore\b|please (?:now|ignore)|from now on"
        r"|i (?:will|shall|must|have) (?:now|ignored?)|sure, i)",
    ),
    ("system>|assistant>|user>|human>|developer>", rf"(?:^|\n)\s*</?{_ROLE}>\s*(?:\n|you\b|ignore\b|$)"),
    ("system|assistant|user|human|developer", rf"</?{_ROLE}[_-](?:prompt|message|instructions?|reminder|note|override)>"),
    (
        "tool_|function_|<invoke|:invoke|<parameter|:parameter",
        r"</?(?:\w+:)?(?:tool_(?:call|use|result|response)s?|function_(?:calls?|results?)|invoke|parameter)(?:\s+name\s*=[^>]{0,100})?>",
    ),
    (
        'tool_|function_call|"method"',
        r"\"(?:tool_calls|function_call|tool_use)\"\s*:|\"method\"\s*:\s*\"(?:tools/call|sampling/createmessage)\"",
    ),
    (
        "<important>|<critical>|<urgent>|<instruction|<override>|<secret>",
        r"<(?:important|critical|urgent|instructions?|secret|override)>\s*\S",
    ),
)
"""Marks, one of which stands in whatever the pattern beside them matches: looking for these costs next to nothing. All in lower case."""
_REPLY = (
    "id |degraded: |instructions| in ",
    r"\bid [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\)"
    r"|(?:^|\n)(?:strong|weak|none)(?:: \d+)? in \S+[.:]|(?:^|\n)degraded: |stored text is data, not instructions",
)
"""What only this server's own replies say."""
_LONGEST = 200_000


def reads_as_order(text: str) -> bool:
    """Whether a text reads so; of a very long one its first 200,000 characters count."""
    start = text[:_LONGEST]
    lowered = (start if start.isascii() else unicodedata.normalize("NFKC", without(start))).lower()
    return any(_compiled(pattern).search(lowered) for marks, pattern in _TABLE if any(mark in lowered for mark in marks))


_TABLE = [(marks.split("|"), pattern) for marks, pattern in (*_ORDERS, _REPLY)]
_compiled = cache(partial(re.compile, flags=re.DOTALL))
