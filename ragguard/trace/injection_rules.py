"""Rules for text that speaks to the model instead of to the reader.

Each rule is a pattern of a manner of speaking (to an assistant, about its reply,
in place of its operator), never of a subject: what an instruction asks for is
open, that it is one is not. They are read on folded text (case, look-alikes and
invisible characters gone) and, where a text carries a cipher, on what it decodes
to. The weight of a rule says how much it says alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ragguard.trace.hidden import Finding
from ragguard.types import Span


@dataclass(frozen=True, slots=True)
class Rule:
    """One manner of speaking: an id, how much it says in [0, 1], and a pattern of folded text."""

    id: str
    weight: float
    pattern: re.Pattern[str]


def _rule(name: str, weight: float, *patterns: str) -> Rule:
    return Rule(f"injection.{name}", weight, re.compile("|".join(f"(?:{p})" for p in patterns), re.MULTILINE))


_START = r"(?:^|(?<=[.!?:;)\"'|>] ))\W{0,6}"
_GAP = r"[^.!?\n]{0,40}?"
_NEAR = r"[^.!?\n]{0,24}?"
_IGNORE = (
    r"\b(?:ignore|disregard|forget|discard|override|overrule|bypass|skip|drop|neglect|stop following|do not follow"
    r"|don'?t follow|pay no attention to|set aside)"
)
_TOLD = r"(?:instruction|prompt|guideline|directive|programming|guardrail|system message|developer message)s?"
# Ordinary words: only what came before, or is the model's own, makes them its orders.
_ORDERS = r"(?:rule|direction|command|order|constraint|message|polic(?:y|ie)|restriction|context|training)s?"
_EARLIER = r"(?:previous|prior|above|earlier|preceding|original|initial|system|former|your)"
_ANY = r"(?:all|any|every|the|these|those|previous|prior|above|earlier|preceding|original|initial|system|former|your)"
_REPLY = r"(?:answer|response|reply|output|completion|summary|message|explanation|elucidation)s?"
_CODE = r"(?:code(?:base)?|solution|implementation|algorithm|script|program|software|project|function)(?:'s)?"
_SNIPPET = r"(?:code )?(?:code|snippet|block|excerpt|section|fragment|function|lines?)(?: of code)?"
_MODEL = (
    r"(?:a\.?i\.?(?: (?:assistant|model|system|agent|language model))?"
    r"|(?:large )?language model|llm|chat ?bot|assistant"
    r"|chatgpt|gpt(?:-\d)?|claude|gemini|copilot|virtual assistant|automated (?:agent"
    r"|system|reader)|robot|crawler)s?"
)
# Any word may order something of "your reply"; these, at the start of a sentence, tell or thank instead.
_TELLS = (
    r"(?!(?:we|i|you|they|he|she|it|the|this|these|that|those|a|an|thanks?"
    r"|your|our|my|his|her|their|if|when|once|after|before"
    r"|because|since|while|as|for|regarding|re|look(?:ing)?|await(?:ing)?"
    r"|appreciat\w+|and|but|so|or|there|here|is|are|was|were|do|did"
    r"|does|have|has|had|all|no|not|who|what|how|why|where|which|in|on"
    r"|at|by|with|from|to|under|upon|pending|despite)\b)"
)
_ASKED = (
    r"(?:please |kindly |now |also |then |finally |next,? |always |can you "
    r"|could you |would you |you (?:must|should|will|need to|have to"
    r"|shall) (?:now |always |also )?)*"
)
_WITHIN = r"(?:[^\n.!?]|[.!?](?=[^\s])){0,160}?"

RULES: tuple[Rule, ...] = (
    _rule(
        "override",
        0.9,
        rf"{_IGNORE}\s+(?:\w+\s+){{0,3}}?{_ANY}\b{_NEAR}\b{_TOLD}\b",
        rf"{_IGNORE}\s+(?:\w+\s+){{0,3}}?{_EARLIER}\b{_NEAR}\b{_ORDERS}\b",
        rf"{_IGNORE}\s+(?:\w+\s+){{0,3}}?{_ORDERS}\s+(?:\w+\s+)?(?:above|before|so far|until now)\b",
        rf"\b(?:ignore|disregard|forget)\s+(?:everything|anything|all|what)\b{_NEAR}\b(?:above"
        r"|before|previous(?:ly)?|earlier"
        r"|prior|so far|said|told|read)\b",
        r"\b(?:new|updated|real|actual|true|revised|additional|special|secret|hidden)\s+(?:system\s+)?"
        r"(?:instructions?|prompt|directives?|orders?)\s*(?:for (?:you|the assistant|the model))?\s*[:=]",
        r"\b(?:your|the) (?:previous|prior|earlier|original|old|existing) (?:instructions"
        r"|rules|guidelines|directives|prompt)"
        r" (?:are|is|were|have been|has been|no longer)\b",
        r"\bignor(?:iere?n?|ez?|a|i|e|ar|are|eer)\b[^.!?\n]{0,30}\b(?:anweisungen"
        r"|instruktionen|anleitungen|instructions"
        r"|consignes|instrucciones|istruzioni|instru[cç][oõ]es|instructies|opdrachten)\b",
        r"\b(?:vergiss|missachte|oublie[zr]?|olvida|dimentica|esque[cç]a"
        r"|negeer|vergeet)\b[^.!?\n]{0,30}\b(?:anweisungen|instruktionen"
        r"|vorherige\w*|instructions|consignes|pr[eé]c[eé]dent\w*|instrucciones"
        r"|anteriores|istruzioni|precedenti"
        r"|instru[cç][oõ]es|instructies|vorige)\b",
        r"(?:忽略|无视|忘记|忽視|無視)[^。\n]{0,12}(?:指令|指示|提示|说明|規則|规则)",
        r"(?:指示|命令|プロンプト)[^。\n]{0,8}(?:無視|忘れ)",
        r"(?:игнорир\w*|забуд\w*)[^.!?\n]{0,30}(?:инструкци|указани|команд)\w*",
    ),
    _rule(
        "role_tag",
        0.9,
        r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id"
        r"|end_header_id|begin_of_text|endofprompt)\|>",
        r"\[/?inst\]|<</?sys>>|<(?:start|end)_of_turn>|\[/?system(?:_prompt"
        r"| message)?\]|</?system(?:[-_]prompt)?>",
        r"^[^\S\n]{0,20}#{2,4} ?(?:instructions?|system|response|assistant)\s*:?\s*$",
    ),
    _rule(
        "speaker",
        0.5,
        r"^[^\S\n]{0,20}[*_#>]{0,3}(?:system|assistant|human|user|developer)(?: message"
        r"| prompt)?[*_]{0,2}\s*:[*_]{0,2}\s+\S",
    ),
    _rule(
        "delimiter",
        0.7,
        r"^\W{0,8}(?:end|begin|start|stop)(?:ning)? (?:of )?(?:the )?(?:document"
        r"|context|passages?|retrieved (?:text|content)|untrusted"
        r"|user (?:input|data)|system prompt|instructions?|admin)\b[^\n]{0,30}$",
        r"</(?:context|documents?|passages?|retrieved|data|user_input|untrusted"
        r"|search_results|tool_result|function_results)>",
    ),
    _rule(
        "addressed",
        0.8,
        r"\b(?:dear|attention|hey|hello|note to|message (?:to|for)|instructions? (?:to"
        r"|for)|notice to|reminder (?:to|for)|to (?:any|all|the))"
        rf"[,:]?\s+(?:all |any |every |the |my |our )?{_MODEL}\b(?! (?:users?"
        r"|developers?|researchers?|companies|engineers?))",
        rf"\bif you(?: are|'re) (?:an? |the )?(?:\w+ )?{_MODEL}\b",
        rf"\b(?:as|since|because) you(?: are|'re) an? (?:\w+ )?{_MODEL}\b",
        rf"{_START}{_MODEL}\s*[,:]\s*(?:please |you |do |don'?t |must |should )",
        rf"\b(?:any|every|the) {_MODEL} (?:reading|processing|summari[sz]ing"
        r"|that reads|who reads|parsing|analy[sz]ing|answering from) (?:this"
        r"|these|the)\b",
        r"\bwhen (?:you (?:are )?)?(?:summari[sz]ing|answering (?:questions )?(?:about"
        r"|from)|quoting) this (?:text|page|document|passage|email|article)\b",
    ),
    _rule(
        "new_role",
        0.7,
        r"\byou are now\b(?! (?:able|ready|logged|subscribed|registered|connected"
        r"|leaving|eligible|signed|in the|at the|on the|free|done|here|using"
        r"|running|entering))",
        r"\bfrom now on,? (?:you|your|always|never|only|respond|answer|reply|speak|act)\b",
        r"\b(?:act|behave|respond|pose|roleplay|role-play) as (?:if you|an? (?:unrestricted"
        r"|uncensored|evil|unfiltered|different|dan|hacker|pirate|linux|terminal))\b",
        r"\bpretend (?:to be|that you|you(?:'re| are))\b",
        r"\b(?:developer|debug|god|admin(?:istrator)?|maintenance|unrestricted"
        r"|dan|jailbreak) mode (?:is |has been )?(?:now )?(?:enabled|activated"
        r"|on\b)",
        r"\b(?:enter|enable|activate|switch to) (?:developer|debug|god|admin|unrestricted|jailbreak) mode\b",
        r"\byour new (?:role|task|job|goal|purpose|objective|identity|persona|name) is\b",
    ),
    _rule(
        "reply_shape",
        0.7,
        rf"{_START}{_ASKED}{_TELLS}[a-z][a-z-]{{1,20}}\b{_WITHIN}\byour (?:[a-z]+ )?(?:[a-z]+"
        rf" (?:in|of) (?:your )?)?{_REPLY}\b"
        r"(?! (?:form|card|envelope|from|code|time|rate))",
        r"\b(?:in|to|from|into|within|throughout|at the (?:end|start|beginning"
        rf"|top|bottom) of) (?:all |each of |every one of )?your (?:\w+ )?{_REPLY}\b, *{_TELLS}"
        r"[a-z]",
        r"\b(?:answer|reply|respond) (?:only |always |exclusively |just "
        r"|strictly )(?:with|in|using|by|as)\b",
        rf"\byour (?:next |final |only |entire |first |whole |every )*{_REPLY} (?:must"
        r"|should|shall|has to|needs to|will|is to|ought to)\b",
        r"\b(?:begin|start|end|finish|preface|prefix|close) (?:all |each of "
        rf"|every one of )?your (?:\w+ )?{_REPLY}\b",
    ),
    _rule(
        "code_insert",
        0.7,
        rf"\b(?:the|this|that) (?:following|below|subsequent|next) {_SNIPPET}\b[^.\n]{{0,80}}\b"
        rf"(?:your|the (?:core|essence|logic|fabric|structure|framework)) (?:\w+ ){{0,2}}{_CODE}?",
        rf"\byour (?:\w+ ){{0,2}}(?:{_CODE}|{_REPLY})\b[^.\n]{{0,80}}\b(?:following"
        rf"|below|subsequent) {_SNIPPET}\b",
        rf"\b(?:the|this) (?:following|below|subsequent) {_SNIPPET}\b[^.\n]{{0,60}}:\s*\n?\s*```",
    ),
    _rule(
        "secrecy",
        0.75,
        r"\b(?:do not|don'?t|never|without) (?:ever )?(?:mention(?:ing)?"
        r"|tell(?:ing)?|reveal(?:ing)?|disclos(?:e|ing)|inform(?:ing)?|alert(?:ing)?"
        r"|warn(?:ing)?"
        r"|notify(?:ing)?|acknowledg(?:e|ing)|say(?:ing)?|show(?:ing)?|refer(?:ring)? to) "
        r"(?:\w+ ){0,3}?(?:this (?:instruction|message|text|note|prompt|comment"
        r"|to)"
        r"|these (?:instructions|rules)|the (?:user|reader|human|instructions"
        r"|above|existence of)|that you (?:were|are|have|received|saw))",
        r"\bkeep (?:this|these instructions|it) (?:secret|hidden|confidential"
        r"|between us)\b[^.\n]{0,30}\b(?:from the user|user|human)\b",
        r"\bwithout (?:the user(?:'s)?|asking the user|telling (?:the user|anyone)|the human)\b",
    ),
    _rule(
        "reveal",
        0.85,
        r"\b(?:reveal|print|repeat|output|show|leak|display|disclose|tell me"
        rf"|give me|recite|dump|write out|return|translate|summari[sz]e)\b{_NEAR}"
        r"\b(?:system prompt|initial prompt|hidden prompt|original prompt"
        r"|developer message|system message|(?:your|the|all) (?:\w+ )?(?:previous "
        r"|initial |hidden |system |secret |original )+instructions?"
        r"|your (?:instructions|prompt|rules|guidelines|system prompt|training data"
        r"|api keys?)|text above this|words above|conversation (?:so far"
        r"|history))\b",
    ),
    _rule(
        "exfiltrate",
        0.75,
        r"\b(?:send|post|forward|upload|e-?mail|transmit|exfiltrate|submit"
        rf"|leak|share|copy|deliver|append|encode|include)\b{_GAP}\b(?:conversation"
        r"|chat (?:history|log)"
        r"|user(?:'s)? (?:\w+ )?(?:data|name|email|question|query|input|message"
        r"|password|location|address|files?)|credentials?|passwords?|api[ _-]?keys?"
        r"|secrets?|private (?:data|keys?)|session (?:id|token)s?"
        r"|access tokens?|bank details|personal (?:data|information|details)"
        rf"|contents? of)\b{_GAP}\b(?:to|into|in|at|via|as)\b[^.!?\n]{{0,30}}(?:https?:"
        rf"|www\.|\b[\w-]{{1,60}}\.(?:com|net|org|io|xyz|ru|cn)\b|@|url|link"
        r"|query|parameter|image)",
        r"!\[[^\]\n]{0,80}\]\(\s*https?://[^)\s]{1,200}[?&/=](?:[^)\s]{0,60})?(?:\{"
        r"|\$|<|%7b|\[|base64|user|data=|q=|secret|history|prompt)",
        r"https?://[^\s)\"'<>]{1,200}[?&=](?:\{\{?|<|\[|\$\{)[^\s)]{1,60}",
    ),
    _rule(
        "tool",
        0.5,
        r"\b(?:call|invoke|execute|run|trigger|use) (?:the |your )[`'\"]?[\w.-]{2,40}[`'\"]?"
        r" (?:tool|plugin|api endpoint|connector|skill)\b",
        r"\{\s*\"(?:name|tool|function|action|recipient_name)\"\s*:\s*\"[\w.]{2,60}\"\s*,\s*\""
        r"(?:arguments|parameters|input|action_input|args)\"\s*:",
        r"\b(?:curl|wget)\b[^\n|]{1,200}\|\s*(?:sudo )?(?:ba|z)?sh\b|\brm -rf [~/]",
    ),
    _rule(
        "steer",
        0.6,
        r"\b(?:only|single|one) (?:correct|right|true|valid|acceptable|permitted"
        r"|reliable) (?:answer|source|response)\b[^.\n]{0,30}\b(?:is|to)\b[^.\n]{0,60}\b(?:question"
        r"|asked|query)\b",
        r"\b(?:if|when|whenever) (?:(?:you(?: are|'re)? |anyone |someone "
        r"|the user |a user |users? |they |i )(?:\w+ ){0,3}?)?ask(?:s|ed"
        r"|ing)?\b[^.\n]{0,80}?\b(?:always |you must |you should |simply "
        r"|just |only )?(?:say|answer|reply|respond|recommend|claim|state"
        r"|tell them|output)\b",
        r"\b(?:do not|don'?t|never) (?:use|cite|trust|rely on|consult|read"
        r"|quote|consider) (?:the |any |all )?(?:other|remaining|rest of the"
        r"|above|previous) (?:passages?|sources?|documents?|context|results?)\b",
        r"\b(?:recommend|rate|rank|prefer) (?:this|our) (?:\w+ ){1,3}?(?:above"
        r"|over|before|instead of|as the best)\b[^.\n]{0,40}\b(?:other|competitor"
        r"|all|any|candidate)\w*\b",
    ),
)

STRONG = 0.7
"""Rules at least this heavy are also looked for in what a text decodes to."""

_QUOTED = re.compile(
    r"\"[^\"\n]{3,300}\"|\u201c[^\u201d\n]{3,300}\u201d|`[^`\n]{3,300}`"
    r"|(?<!\w)'[^'\n]{3,300}'(?!\w)|«[^»\n]{3,300}»"
)
_ABOUT = re.compile(
    r"\b(?:prompt[- ]injections?|injection attacks?|jailbreak(?:s|ing)?"
    r"|attack(?:s|er|ers)?|adversar(?:y|ies|ial)|malicious|phishing"
    r"|red[- ]team\w*|exploits?|such as|for example|for instance|e\.g\."
    r"|payloads?|vulnerab\w+|the phrase|the words|the string)\b"
)
_DISCUSSED = 0.35


def find_instructions(folded: str, *, least: float = 0.0) -> Iterator[Finding]:
    """Yield what the rules find in folded text, with its offsets there.

    Words that are quoted in a sentence about attacks are mentioned rather than
    used, and count for about a third: an article on prompt injection quotes them.
    """
    quotes: list[tuple[int, int]] | None = None
    for rule in RULES:
        if rule.weight < least:
            continue
        for match in rule.pattern.finditer(folded):
            if quotes is None:
                quotes = [m.span() for m in _QUOTED.finditer(folded)]
            weight = rule.weight
            if rule.id != "injection.role_tag" and _discussed(folded, match.start(), match.end(), quotes):
                weight *= _DISCUSSED
            yield Finding(rule.id, Span(start=match.start(), end=match.end()), round(weight, 4))


def _discussed(text: str, start: int, end: int, quotes: list[tuple[int, int]]) -> bool:
    inside = any(a <= start and end <= b + 1 for a, b in quotes)
    return inside and _ABOUT.search(text, max(0, start - 160), min(len(text), end + 160)) is not None
