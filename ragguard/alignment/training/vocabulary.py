"""Words that the rules put in place of others: opposites, near neighbours, equals.

Written for this purpose. A rule that needs a kind of word finds it here, never
in a model.
"""

from __future__ import annotations

_OPPOSITES = """
increase/decrease increased/decreased increases/decreases increasing/decreasing rise/fall rose/fell
rises/falls rising/falling
before/after more/less more/fewer most/least higher/lower highest/lowest larger/smaller largest/smallest
large/small big/small
first/last early/late earlier/later earliest/latest old/new older/newer oldest/newest oldest/youngest
older/younger young/old
north/south northern/southern east/west eastern/western northeast/southwest left/right upper/lower
above/below inside/outside
male/female man/woman men/women boy/girl boys/girls husband/wife father/mother son/daughter brother/sister
king/queen uncle/aunt
won/lost win/lose wins/loses winning/losing winner/loser victory/defeat success/failure
successful/unsuccessful succeeded/failed
accept/reject accepted/rejected accepts/rejects approve/reject approved/rejected allow/forbid
allowed/forbidden allows/forbids
begin/end began/ended begins/ends beginning/end start/stop started/stopped starts/stops opened/closed
open/closed opens/closes
buy/sell bought/sold buys/sells gain/lose gained/lost add/remove added/removed adds/removes arrive/leave
arrived/left enter/leave
birth/death born/killed alive/dead cheap/expensive common/rare commonly/rarely often/rarely usually/seldom
always/never
public/private positive/negative possible/impossible legal/illegal safe/dangerous strong/weak
stronger/weaker fast/slow
easy/difficult easier/harder simple/complex hot/cold warm/cool wet/dry high/low long/short longer/shorter
wide/narrow deep/shallow
major/minor maximum/minimum top/bottom majority/minority many/few all/none everyone/nobody
everything/nothing both/neither
professional/amateur domestic/foreign national/international local/global urban/rural military/civilian
ancient/modern
support/oppose supported/opposed supports/opposes supporter/opponent agree/disagree agreed/disagreed
loved/hated love/hate
joined/left join/leave hired/fired promoted/demoted expanded/shrank improve/worsen improved/worsened
better/worse best/worst
include/exclude included/excluded includes/excludes present/absent presence/absence with/without
for/against from/to into/from
import/export imported/exported teacher/student employer/employee parent/child attack/defend
attacked/defended ally/enemy
single/married summer/winter spring/autumn morning/evening day/night rich/poor richest/poorest full/empty
he/she his/her him/her
some/all some/no most/few every/no can/cannot will/might may/will might/must could/must should/need-not
only/also
""".split()

_NEIGHBOURS = """
January February March April May June July August September October November December
Monday Tuesday Wednesday Thursday Friday Saturday Sunday
American British French German Italian Spanish Russian Chinese Japanese Indian Canadian Australian Dutch Swedish Polish Irish
Scottish Greek Turkish Egyptian Mexican Brazilian Norwegian Danish Austrian Hungarian Swiss Belgian Portuguese Korean
Catholic Protestant Orthodox Muslim Jewish Buddhist Hindu
red blue green yellow black white brown orange purple pink grey
film novel album song play book poem musical opera series game
actor singer director producer writer composer politician painter footballer lawyer engineer teacher scientist
president governor mayor senator minister chancellor ambassador
university college school institute
river lake mountain island valley
country state province county city town village
hydrogen oxygen nitrogen carbon helium iron copper
dog cat horse bird fish
guitar piano drums violin
football baseball basketball hockey tennis rugby cricket
two three four five six seven eight nine ten eleven twelve
second third fourth fifth sixth seventh eighth
hundred thousand million billion
seconds minutes hours days weeks months years decades centuries
kilometres miles metres feet
weekly monthly yearly daily
mother father sister brother cousin aunt uncle grandmother grandfather
breakfast lunch dinner
coffee tea juice beer wine
bus train car plane bicycle boat
said denied promised doubted
wrote read translated edited
bought rented sold stole
won lost shared
""".strip().splitlines()  # noqa: E501 - a line is a group

_EQUALS = """
began=started; started=began; film=movie; bought=purchased; big=large; large=big; located=situated;
near=close to; used=utilized;
helped=aided; approximately=about; because=since; many=numerous; also=additionally; received=got;
showed=demonstrated;
died=passed away; created=made; founded=established; established=founded; built=constructed;
constructed=built; wrote=authored;
important=significant; main=principal; released=issued; issued=released; company=firm; firm=company;
job=position; street=road;
doctor=physician; attorney=lawyer; photograph=photo; needs=requires; requires=needs; allows=lets;
shows=displays; entire=whole;
nearly=almost; almost=nearly; famous=well-known; quickly=rapidly; rapidly=quickly; wealthy=rich;
happy=glad; said=stated; stated=said;
does not=doesn't; do not=don't; did not=didn't; is not=isn't; was not=wasn't; are not=aren't;
were not=weren't; has not=hasn't;
cannot=can't; will not=won't; would not=wouldn't; could not=couldn't; in order to=to; such as=like;
more than=over; over=more than;
less than=under; as well as=and; took place=happened; occurred=took place; happened=took place;
assisted=helped; obtained=got;
resided=lived; children=kids; residents=inhabitants; inhabitants=residents; attempted=tried;
tried=attempted; approximately=around;
United States=US; the United Kingdom=the UK; World War II=the Second World War;
World War I=the First World War; it is=it's;
he was=he's been; they are=they're; I am=I'm; two=2; three=3; four=4; five=5; six=6; seven=7; eight=8;
nine=9; ten=10; twelve=12;
percent=%; one hundred=100; one thousand=1,000; begin=start; buy=purchase; need=require; begins=starts;
starts=begins
"""

_OPENINGS = """
Oh wow,|Yes,|Yeah,|Yep,|Well,|Right,|Exactly,|True,|I see.|Interesting!|That's cool!|That is so neat.
Oh really?|Ha ha,|Sure!
I heard that|I read that|I think|I believe|I know that|Did you know that|Fun fact:|From what I know,
As far as I know,|Hmm,
It seems that|Apparently,|Actually,|Of course!|No problem.|Good question!|Oh, I love that!|I like them too!
I agree,|Me too!
That's a great question.|I'm not a big fan, but|I've never been there, but|You're right,|Same here.|Cool,
Nice!|Great!|Awesome!
According to the article,|According to the document,|Based on the text,|The passage says that|In short,
To sum up,|Okay,|Ok so
Hi there!|Hello!|Thanks for asking!|Let me see.|So|And|Also,|I'm not sure about that, but|No,|Nope,
"""
_CLOSINGS = """
Do you like it?|What do you think?|Have you heard of it?|Isn't that amazing?|Pretty cool, right?
I find that interesting.
How about you?|Hope that helps!|Have you been there?|I love it!|It's really interesting.|That's crazy!|Wow!
Did you know that?
Let me know if you want more.|I'd like to learn more about it.|That's all I know.|Who would have thought?
"""


def _opposites() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for one, other in (pair.replace("-", " ").split("/") for pair in _OPPOSITES):
        found.setdefault(one, []).append(other)
        if " " not in other:
            found.setdefault(other, []).append(one)
    return {word: tuple(dict.fromkeys(others)) for word, others in found.items()}


def _neighbours() -> dict[str, tuple[str, ...]]:
    groups = [line.split() for line in _NEIGHBOURS]
    return {word: tuple(other for other in group if other != word) for group in groups for word in group}


def _equals() -> dict[str, str]:
    pairs = [part.strip().split("=") for part in _EQUALS.split(";") if "=" in part]
    return {one.strip(): other.strip() for one, other in pairs}


def _phrases(table: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in table.replace("\n", "|").split("|") if part.strip())


OPPOSITES = _opposites()
NEIGHBOURS = _neighbours()
EQUALS = _equals()
CHAT_OPENINGS = _phrases(_OPENINGS)
CHAT_CLOSINGS = _phrases(_CLOSINGS)
