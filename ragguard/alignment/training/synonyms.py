"""Sets of words of one meaning, and of opposite meanings, in all their regular forms.

Written for this purpose. Within a line of the first tables any word may stand for
another in most sentences; the second tables oppose two such sets. Verbs and nouns
are given once and inflected here; irregular ones are left to `vocabulary`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import product

_VERBS = """
offer provide supply deliver|help assist aid support|improve enhance upgrade better|introduce present
propose suggest recommend|reduce decrease lower lessen|increase raise boost|create produce generate
require need demand|include contain comprise|explain clarify describe|ask request|answer reply respond
finish complete conclude|start launch initiate|purchase acquire|assess evaluate|examine inspect check
discover uncover|gather collect|allow permit enable|stop halt cease|prevent avert|remove eliminate
destroy demolish|repair mend|visit tour|display exhibit|mention note|claim assert maintain
declare announce|state remark|praise commend|criticize condemn|attack assault|defend protect|employ hire
dismiss fire|award grant|obtain gain|use employ utilize|attempt try|plan intend|want wish desire
enjoy like|hate detest|fear dread|hope expect|believe consider|doubt question|remember recall
ignore overlook neglect|select pick|decide determine|change alter modify|convert transform|adapt adjust
develop evolve|expand extend enlarge|shrink contract|rise climb|drop decline|travel journey|reside live
settle move|return revert|arrive land|depart exit|follow pursue|join enter|assemble convene|unite merge
separate divide|link connect|confirm verify|reveal disclose|hide conceal|accuse charge|arrest detain
release free|murder kill|injure wound|rescue save|marry wed|name call|rename retitle|publish issue
record tape|perform play|direct lead|manage run|control govern|order command|elect appoint|resign retire
succeed replace|train teach educate|study research|measure gauge|estimate calculate|test trial|treat cure
infect contaminate|cause trigger|affect influence|encourage urge|persuade convince|warn alert
promise vow pledge|approve endorse|accept receive|reject refuse decline|oppose resist|ban prohibit
design devise|construct erect|establish found|locate situate|own possess|rent lease|pay compensate
earn gain|cost charge|save conserve|waste squander|invest fund|finance sponsor|donate give|share split
handle manage|tailor customize|optimize refine|feature showcase|promote advertise|market sell
discuss debate|talk chat speak|complain grumble|apologize repent|thank acknowledge|celebrate commemorate
postpone delay|cancel scrap|schedule plan|attend visit|watch view|listen hear|notice spot observe
look gaze|demonstrate illustrate|indicate signal|highlight emphasize stress|represent depict portray
resemble mirror|compare contrast
"""

_NOUNS = """
company firm business enterprise|customer client buyer|employee worker|boss manager supervisor
consultant adviser|product item|package bundle|discount rebate|price cost|solution answer
method approach technique|tool instrument|feature characteristic|goal aim objective|plan scheme
idea concept notion|problem issue difficulty|error mistake|reason cause|result outcome consequence
effect impact|benefit advantage|drawback disadvantage|chance opportunity|danger hazard risk|threat menace
part portion section|group team|member participant|leader head|founder creator|author writer
student pupil|professor lecturer|school academy|town municipality|village hamlet|building structure
house dwelling|road street|area region zone|territory land|border boundary|forest wood|sea ocean
storm tempest|illness disease sickness|physician doctor|treatment therapy|medicine drug medication
victim casualty|criminal offender|crime offence|police officers|judge magistrate|attorney lawyer
law statute|rule regulation|agreement accord deal|contract agreement|war conflict|battle fight
soldier trooper|army military|weapon arm|ruler monarch|election vote|candidate contender|party faction
government administration|official functionary|politician statesman|money cash|salary wage pay
profit gain earnings|loss deficit|debt liability|tax levy|film movie picture|song track tune|album record
band group|concert gig|actor performer|game match|contest competition tournament|prize award
championship title|victory win triumph|defeat loss|coach trainer|book volume|article piece
newspaper paper|magazine periodical|letter note|meeting gathering|conversation talk discussion
speech address|child kid|infant baby|teenager adolescent|spouse partner|parent guardian|relative kinsman
friend companion pal|guest visitor|journey trip voyage|vehicle automobile car|aircraft plane|ship vessel
engine motor|machine device|computer PC|program application|picture image|photograph photo
painting canvas|gift present|garment piece-of-clothing|meal dish|beverage drink|garden yard
workplace office|job post position|task assignment duty|career profession|experience expertise
ability skill|knowledge understanding
"""

_ADJECTIVES = """
big large sizeable|huge enormous gigantic|small little|tiny minute|important significant
main chief principal|famous renowned celebrated|perfect ideal|excellent outstanding superb
good great fine|bad poor|terrible awful|beautiful lovely|ugly unattractive|smart clever bright
rich wealthy affluent|poor impoverished|strong powerful|weak feeble|fast quick rapid|slow sluggish
hard difficult tough|easy simple|angry furious|happy glad pleased|sad unhappy|afraid scared frightened
brave courageous|calm peaceful|busy occupied|tired exhausted|rare uncommon|common widespread
modern contemporary|ancient very-old|new novel|correct right accurate|wrong incorrect|real genuine
false untrue|certain sure|likely probable|possible feasible|dangerous hazardous|safe secure
free complimentary|expensive costly|cheap inexpensive|complete entire whole|empty vacant|several various
many numerous|additional extra further|final last|initial first|previous former prior|current present
annual yearly|nearby neighbouring|distant remote|native indigenous|foreign overseas|local regional
precise exact|vague unclear|special particular|typical usual|strange odd weird|advanced cutting-edge
comprehensive complete all-round|reliable dependable|efficient effective|friendly amiable
polite courteous|rude impolite|generous giving|healthy well|ill sick|personalized customized
professional expert|talented gifted|popular well-liked|successful prosperous|influential powerful
"""

_ADVERBS = """
also too|mainly mostly primarily|almost nearly|about approximately roughly|quickly rapidly swiftly
slowly gradually|often frequently|rarely seldom|usually normally generally|finally eventually
immediately at-once|suddenly abruptly|later afterwards|previously formerly|currently presently now
recently lately|especially particularly|only just solely|completely totally entirely|partly partially
very highly extremely|however nevertheless|therefore thus hence|together jointly|alone by-oneself
perhaps possibly|initially at-first
"""

_OPPOSED_VERBS = """
improve enhance boost/worsen hinder harm|increase raise expand/reduce decrease lower cut-down
maximize/minimize|create/destroy|accept approve/reject refuse|allow permit enable/forbid prevent ban
help assist aid/hinder obstruct|support endorse/oppose|praise commend/criticize condemn
love adore/hate despise|open/close|start launch/stop cancel|add include/remove exclude|attack/defend
appoint hire/dismiss fire|confirm/deny|reveal disclose/hide conceal|simplify/complicate
encourage/discourage|agree/disagree|succeed/fail|arrive/depart|unite merge/separate|strengthen/weaken
lengthen/shorten|arrest detain/release|rescue/abandon|import/export|pull/push|borrow/lend|remember/forget
trust/distrust|reward/punish|construct/demolish|optimize/impair|attract/repel|gain/forfeit
"""

_OPPOSED_ADJECTIVES = """
big large huge/small tiny|important significant/trivial minor|famous renowned/unknown obscure
perfect excellent/flawed terrible|beautiful/ugly|rich wealthy/poor|strong/weak|fast quick/slow
difficult hard/easy simple|happy/unhappy sad|brave/cowardly|rare/common|modern/ancient old-fashioned
correct right/wrong incorrect|real genuine/fake false|certain sure/unsure|likely/unlikely
possible/impossible|dangerous/safe harmless|free/paid|expensive costly/cheap inexpensive
complete/incomplete|full/empty|additional/fewer|final/initial|previous/next following|local/foreign
precise exact/vague|special/ordinary|typical/unusual|advanced/basic outdated|reliable/unreliable
efficient/inefficient|friendly/hostile|polite/rude|generous/stingy|healthy/sick
professional expert/amateur|unprofessional/professional|successful/unsuccessful failed|public/private
legal/illegal|positive/negative|internal/external|major/minor|voluntary/compulsory|temporary/permanent
direct/indirect|visible/invisible|married/unmarried|guilty/innocent|wide/narrow
"""


def _third(verb: str) -> str:
    if re.search(r"(?:s|sh|ch|x|z|o)$", verb):
        return verb + "es"
    return verb[:-1] + "ies" if re.search(r"[^aeiou]y$", verb) else verb + "s"


def _past(verb: str) -> str:
    if verb.endswith("e"):
        return verb + "d"
    if re.search(r"[^aeiou]y$", verb):
        return verb[:-1] + "ied"
    return verb + verb[-1] + "ed" if _doubles(verb) else verb + "ed"


def _ing(verb: str) -> str:
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith("ee"):
        return verb[:-1] + "ing"
    return verb + verb[-1] + "ing" if _doubles(verb) else verb + "ing"


def _doubles(verb: str) -> bool:
    short = re.fullmatch(r"[^aeiou]*[aeiou][bdgmnprt]", verb) is not None
    return short or verb in ("permit", "commit", "prefer", "compel", "expel", "repel", "control")


def _same(word: str) -> str:
    return word


_IRREGULAR = frozenset(
    """sell buy teach give speak hear lead run lose win choose feel find think keep hold pay rise fall drive write wed
    understand forbid cut-down overlook spot gigantic withdraw let make build lend forget""".split()
)
_VERB_FORMS: tuple[Callable[[str], str], ...] = (_same, _third, _past, _ing)
_NOUN_FORMS: tuple[Callable[[str], str], ...] = (_same, _third)


def _lines(table: str) -> Iterator[str]:
    return (line.strip() for line in table.replace("\n", "|").split("|") if line.strip())


def _equal(table: str, forms: tuple[Callable[[str], str], ...]) -> Iterator[tuple[str, str]]:
    for line in _lines(table):
        words = [w for w in line.split() if len(forms) < 4 or w not in _IRREGULAR]
        for one, other in product(words, words):
            if one != other and "-" not in one:
                yield from ((form(one), form(other).replace("-", " ")) for form in forms)


def _opposed(table: str, forms: tuple[Callable[[str], str], ...]) -> Iterator[tuple[str, str]]:
    for line in _lines(table):
        left, right = (side.split() for side in line.split("/"))
        for one, other in [*product(left, right), *product(right, left)]:
            if not {one, other} & _IRREGULAR and "-" not in one:
                yield from ((form(one), form(other).replace("-", " ")) for form in forms)


_AMBIGUOUS = frozenset(
    """found like live lives state states stated can well just only right present free fire fires lead leads
    party parties play plays may title titles part name names order orders record kind mean second last first
    final land lands look still rose saw felt left book judge head heads charge charges run fine firm post
    trial trials subject test plan track band bands match light wood woods arm arms leave current train trains
    ill lot calling called calls call""".split()
)


def _gathered(pairs: Iterator[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for one, other in pairs:
        if one not in _AMBIGUOUS:
            found.setdefault(one, []).append(other)
    return {word: tuple(dict.fromkeys(others)) for word, others in found.items()}


def _all_equal() -> Iterator[tuple[str, str]]:
    yield from _equal(_VERBS, _VERB_FORMS)
    yield from _equal(_NOUNS, _NOUN_FORMS)
    yield from _equal(_ADJECTIVES, (_same,))
    yield from _equal(_ADVERBS, (_same,))


def _all_opposed() -> Iterator[tuple[str, str]]:
    yield from _opposed(_OPPOSED_VERBS, _VERB_FORMS)
    yield from _opposed(_OPPOSED_ADJECTIVES, (_same,))


SYNONYMS = _gathered(_all_equal())
"""Word, in one of its forms -> words that may stand for it."""
ANTONYMS = _gathered(_all_opposed())
"""Word, in one of its forms -> words that say the opposite."""
