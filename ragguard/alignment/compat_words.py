"""What the published splitter takes for an abbreviation, and for the start of a sentence.

Found by asking it, word by word, how it treats abbreviations and the words that
most often follow a full stop in public English texts.

References:
    Kiss and Strunk (2006), Unsupervised Multilingual Sentence Boundary Detection.
"""

from __future__ import annotations

ABBREVIATIONS = frozenset(
    """
    a.a a.c a.d a.g a.h a.m a.s a.t adm ala ariz aug ave b.f b.v bros calif co col colo conn corp cos ct d.c
    d.h d.w dec dr e.f e.h e.l e.m f.g f.j feb fla fri ft g.d g.f g.k ga gen h.c h.f h.m ill inc j.b j.c j.j
    j.k j.p j.r jan jr kan ky l.a l.f l.p lt ltd m.j maj messrs mich minn mr mrs ms n.c n.d n.h n.j n.m n.v
    n.y nev nov oct ok okla ore p.a p.m pa ph.d prof r.a r.h r.i r.j r.k r.t rep reps s.a s.c s.g s.p.a s.s
    sen sep sept sr st t.j tenn tues u.k u.n u.s u.s.a u.s.s.r va vs vt w.c w.r w.va w.w wash wed wis
    """.split()
)
"""Without the last stop."""

ABBREVIATED_LETTERS = frozenset("cdefghklmnprstvw")
"""Alone before a stop they never end a sentence; the other letters do before an ordinary word."""

BEGIN_AFTER_ABBREVIATION = frozenset(
    """
    above according accordingly active ahead along although ambassador among analysis anyone anyway
    apparently application applications approximate approximately article assuming attacks author
    authorities being besides between beyond both briefly built but calculations cells charts client
    collectively compared comparison comparisons complete conclusion conclusions conditions consideration
    considered considering consistent cookies created currently date depending despite detailed details
    different directed discovery does dollars dubbed earlier early editors eight engineers established et
    even eventually evidence examples except existing experimental experiments experts expressions facing
    figure filming finally follow following forces founded frequently furthermore given he hence her here
    hiccup historically however hundreds i if image importantly in indeed individual infants infection
    influenza initial initially instead it known learn likewise listen located looking many mean meanwhile
    method moreover most multiple neither nevertheless nonetheless nor notably note nothing numerical okay
    originally overall particular patient patients per play please presented previous previously prior
    produced prosecutors published rapid recent recently regarding regardless released reporting researchers
    results right sales samples senator seven severe shortly similar similarly simple simply since so
    soldiers solutions some sometimes soon speaking specific specifically standing starring starting still
    strongly subscribe subsequently such surface taking temperature temperatures text thank thanks the
    theoretical there thereafter therefore these they this though through throughout thus together
    transition treatment troops turn type typically ultimately unable under unfortunately unless unlike
    unqualified upon us using values various very via viral virus viruses were when whereas whether which
    while within without written yes yet your
    """.split()
)
"""Capitalised, they begin a sentence even after an abbreviation or an ellipsis."""

BEGIN_AFTER_INITIAL = frozenset(
    """
    a about actor additional after again agreement air all also amid an analysts and another any apart are
    army around as at back banks based be because before beginning below best bill black born brown by can
    cases central children china cities citizen citizens city clinical collection congress consumer control
    could critical current data de department did director district do dollar due during each economy
    embassy energy every everyone federal first five flow food football for former four fox from further
    future general generally get god good government had has have having hey high higher his history home
    house how human increasing information intelligence investors is its just justice key king large last
    later law less let like little local low major make mark market may maybe methods military more much my
    national navy near nearly never new news next no none north not now of officials on once one only or
    other others our out over paper part people perhaps photo plans plus police policy population power
    president pressure prime public rather read regulators reported representative rolling route said
    scientists second secretary security see set several share she should six small social south space
    special sports state states statistical studies study table taken target television tests that their
    then third those thousands three time to today treasury two until up use users usually van video wade
    was we well what where white who why will with women would you
    """.split()
)
"""Capitalised, they begin one after a letter that is no abbreviation; so do those above but "I"."""
