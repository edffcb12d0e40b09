"""The ways in which a model says that it does not know, as patterns.

`CORE` must match where a segment *begins*: quoted or negated phrases are never
reached. A pattern that also fits a plain fact ("hidden files are not listed in
the results") asks for a word that only speaks of the passages.
"""

from __future__ import annotations

import re

_PLAIN_NOUN = (
    r"(?:contexts?|passages?|documents?|documentation|docs|excerpts?|snippets?|knowledge base"
    r"|search results?)"
    r"(?!\s+(?:manager|processor|variable|object|switch|length|window)s?\b)"
)
_VAGUE_NOUN = r"(?:texts?|sources?|information|info|materials?|articles?|references?|results?|data)"
_QUALIFIER = (
    r"(?:provided|given|retrieved|available|supplied|numbered|relevant|above|following|current|shown"
    r"|cited|two|three)"
)
_POSTFIX = r"(?:provided|given|above|available|here|supplied|retrieved|i have|i was given|you gave)"
_DETERMINER = (
    r"(?:(?:the|these|those|this|that|any(?: of)?|all(?: of)?|my|our|your|none of|no|neither(?: of)?"
    r"|either(?: of)?)\s+)*+"
)
# "The source does not list hidden files" is a fact; "the given source ..." speaks of the passages.
_SOURCE = (
    rf"{_DETERMINER}(?:(?:{_QUALIFIER}\s+)*+{_PLAIN_NOUN}(?:\s+(?:{_POSTFIX}|\[?\d\]?))?"
    rf"|(?:{_QUALIFIER}\s+)++{_VAGUE_NOUN}|{_VAGUE_NOUN}\s+{_POSTFIX}|{_QUALIFIER}(?=\s*$))"
)
_NOT = r"(?:\s+(?:not|n't)|n't|not)"
_AUX = r"(?:do|does|did|can|could|will|would|was|were|am|are|is|has|have)"
_ADVERB = r"(?:\s+(?:really|actually|simply|just|currently|even|honestly|explicitly|directly|clearly))*"
_TELL = (
    r"(?:say|mention|state|specify|contain|include|provide|answer|describe|discuss|address|cover|explain"
    r"|give|have"
    r"|indicate|list|define|reveal|clarify|tell|talk about|refer to|show|offer|name|identify|support)"
)
_SAY = r"(?:say|mention|state|specify|discuss|describe|explain|address|tell|answer|talk about|refer to)"
_TOLD = (
    r"(?:mentioned|stated|specified|given|provided|covered|described|discussed|addressed|explained|listed"
    r"|defined"
    r"|included|contained|answered|found|available|indicated|present|determined|clear|in)"
)
_SPOKEN_OF = r"(?:mentioned|stated|specified|explained|answered|discussed|addressed|described|covered|clear)"
_PLACE = rf"(?:\s+(?:in|by|from|within|on|based on|using|with|anywhere in|according to|given)\s+{_SOURCE})"
OPENER = re.compile(
    r"(?>(?:i(?:'m| am)\s+(?:\w+\s+)?(?:sorry|afraid)|sorry|unfortunately|apologies|my apologies"
    r"|regrettably|hmm|well|no"
    r"|honestly|as an ai(?: language)?(?: model| assistant)?|i apologi[sz]e|to be honest|at this time"
    r"|i(?:'m| am) afraid"
    rf"|(?:based on|according to|from|given|as far as i (?:can tell|know|see)(?: from)?|in"
    rf"|looking at)(?:\s+{_SOURCE})?"
    r"|as far as i (?:can tell|know|see)|it (?:seems|appears)(?: that)?|i think|i believe|that said|so"
    r"|and|but|because"
    r"|since|as|however|though|although|while)\b\s*+(?:[,.:]\s*+)?(?:that\s+)?+)++",
    re.IGNORECASE,
)
_FIRST_PERSON = (
    r"(?:i|we|one)\s*(?:"
    rf"(?:{_AUX}{_NOT}|cannot|can't|won't|am unable to|are unable to|was unable to|were unable to"
    rf"|'m unable to"
    rf"|'m not able to)(?:\s+(?:be )?able to)?{_ADVERB}\s+(?:seem to\s+)?"
    r"(?:know|answer|say|tell|determine|find|provide|confirm|help|assist|give|see|have|verify|comment"
    r"|respond|establish|be (?:sure|certain))"
    rf"|(?:'m|'re|\s+am|\s+are)\s+not\s+(?:sure|certain|aware)"
    rf"|\s*(?:have|'ve)\s+(?:got\s+)?(?:no|not enough|insufficient|too little)\s+"
    r"(?:idea|clue|information|answer|knowledge|evidence|data|context|details?|record|way (?:of knowing"
    r"|to (?:know|tell)))"
    r"|\s+(?:lack|would need)\s+(?:more\s+)?(?:the\s+|enough\s+)?(?:information|knowledge|context|details?)"
    r"|\s+could\s+find\s+(?:no|nothing)|\s+found\s+(?:no|nothing)|\s+(?:know|see)\s+nothing)"
)
_SOURCE_SILENT = (
    rf"(?:the|this|these)\s+{_VAGUE_NOUN}\s+(?:{_AUX}{_NOT}|never){_ADVERB}\s+{_SAY}\b"
    rf"|{_SOURCE}\s+(?:(?:{_AUX}{_NOT}|cannot|never|fails? to){_ADVERB}\s+{_TELL}|(?:is|are|remains?)\s+"
    r"(?:silent|unclear|insufficient|not (?:clear|sufficient|enough|relevant|helpful))|lacks?\b|(?:has"
    r"|have|contains?"
    r"|gives?|provides?|offers?)\s+(?:no|nothing|neither|insufficient))"
)
_NO_SOURCE = (
    rf"(?:(?:none|neither)\s+of\s+{_SOURCE}|(?:no|neither)\s+{_PLAIN_NOUN})\s+"
    r"(?:say|mention|state|specif|contain|include|provide|answer|describe|discuss|address|cover|explain"
    r"|give|has|have"
    rf"|indicate|list|define|tell)\w*|nothing{_PLACE}\s+\w+"
)
_THERE_IS_NO = (
    rf"(?:there(?:\s+(?:is|are|was|were)|'s)(?:\s+(?:no|not (?:any|enough|sufficient)|insufficient)"
    rf"|n't\s+(?:any|enough))"
    r"|(?:no|not enough|insufficient))\s+"
    r"(?:(?:specific|relevant|further|such|direct|explicit|clear|available|sufficient|more)\s+)*"
    r"(?:(?:information|info|mention|answer|details?|data|context)"
    rf"(?=\s*$|\s+(?:about|of|on|in|regarding|concerning|as to|for|to|available|provided|given|here"
    rf"|whether|is|was|that)\b)"
    rf"|(?:evidence|reference|indication|statement|support)[^.]*?{_PLACE})"
)
_NOT_TOLD = (
    rf"(?:[^\d.;:]{{0,80}}?\s+)?(?:{_AUX}{_NOT}|cannot|can't)(?:\s+be)?{_ADVERB}\s+{_TOLD}{_PLACE}"
    rf"|(?:(?:it|this|that|the (?:answer|information|question|detail|topic)|this (?:information|question"
    rf"|detail))\s*"
    rf"(?:'s\s+not|{_AUX}{_NOT}|cannot|can't)(?:\s+be)?{_ADVERB}|not(?:\s+explicitly)?)"
    rf"(?:\s+{_TOLD}(?={_PLACE})|\s+{_SPOKEN_OF}(?=\s*$)|(?={_PLACE}))"
    rf"|(?:it\s+(?:is|'s|remains)\s+)?(?:unclear|unknown|not\s+(?:clear|known|possible to (?:say|tell"
    rf"|know)))(?=\s*$|{_PLACE})"
)
_ALONE = (
    r"(?:(?:the answer is\s+)?(?:unknown|unanswerable|no idea|no answer|n/?a|not (?:known|sure|certain"
    r"|applicable))"
    r"|dunno|don't know|cannot answer|can't answer|no comment|no lo s[ée]|no s[ée]|je ne sais pas"
    r"|ich wei(?:ß|ss)(?: es)?"
    r" nicht|non lo so|n[ãa]o sei|我不知道|不知道|无法回答"
    r"|わかりません|知りません|मुझे नहीं पता|मुझे नहीं मालूम|لا أعرف|не знаю|я не знаю)(?=\s*$)"
)
CORE = re.compile(
    "|".join((_FIRST_PERSON, _SOURCE_SILENT, _NO_SOURCE, _THERE_IS_NO, _NOT_TOLD, _ALONE)), re.IGNORECASE
)
"""What an abstaining segment begins with, after openers such as "Sorry,"."""

IS_SUBJECT = re.compile(
    r"\s*[\"'”’]?\s*(?:is|was|are|were|has|had|can|will|would|means|became|remains)\b", re.IGNORECASE
)
"""What follows where the phrase is only a name: "I Don't Know" is a song."""

FACTIVE = re.compile(r"\s+(?:why|that|how come)\b.*", re.IGNORECASE | re.DOTALL)
RUN_ON = re.compile(
    r"\s+(?P<statement>(?!what|when|who|where|why|how|which|whether|if|whose|about|of|any)\w+(?:\s+(?!that|which|who)\S+)*?"
    r"\s+(?:is|are|was|were|has|have|had)\s)",
    re.IGNORECASE,
)
"""A statement run into the phrase: "I don't know the dose is 5 mg"."""
BREAK = re.compile(
    r"\s*(?:[;:]|\s[–—-]+\s|[–—]|\.{3}|…)\s*"
    r"|,?\s+(?:than that|but|however|though|although|while|whereas|yet|other than|except(?: that| for"
    r"| to say)?|aside from|apart from"
    r"|besides|beyond|save that|because|since|as|only(?: that)?|unless|nevertheless|still,)\s+(?:that\s+"
    r"|the fact that\s+)?"
    r"|,\s+(?:which|who|whose|where|and|or|so|then)?\s*|\s+and\s+|\s*[()\[\]]\s*",
    re.IGNORECASE,
)
JOINS_A_LIST = re.compile(r",\s+(?:and|or)?\s*|\s+and\s+", re.IGNORECASE)
VERB_OR_FIGURE = re.compile(
    r"\d|\b(?:is|are|was|were|has|have|had|can|could|will|would|should|must|may|does|did|two|three|four"
    r"|five|six|seven"
    r"|eight|nine|ten|dozen|hundred|thousand|million)\b|'s\b|\b\w{2,}(?:s|ed)\s+(?:the|an?|its|their|his"
    r"|her|it|to|in|on|at"
    r"|by|as|from|no|only|all|any|every)\b",
    re.IGNORECASE,
)
ASKS = re.compile(r"(?:what|when|who|whom|where|why|how|which|whether|if|whose|about|of)\b", re.IGNORECASE)
NO_OBJECT = re.compile(
    r"(?:\s*(?:the|that|this|it|an?|your|my|much|more|anything|enough|further|answers?|questions?"
    r"|information|for sure|with|about|to|yet)\b)*\s*",
    re.IGNORECASE,
)
STOPS = ' \t\r\n.!?,;:。！？｡।॥؟…"”*_'
