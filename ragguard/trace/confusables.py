"""Characters that look like a Latin letter or a digit, and which one they look like.

Keys are already case-folded, decomposed and without accents, so each pair stands
for the capital and the accented forms as well. Where the two cases of a letter
look like different Latin letters (Greek ν and Ν), the lower case decides: running
text is mostly that. A word that is truly Cyrillic or Greek is folded the same way
in a corpus and in a text looked up, so its matches stay right.

Written for this package from the shapes of the letters; plain Latin letters and
ASCII digits never change, so that 10 stays apart from lo.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

# One group a line: "latin: characters that look like it".
_GROUPS = """
Cyrillic
a: а  ae: ӕ  b: в ь ъ ҍ ѣ  c: с ҫ ҁ  d: ԁ  e: е є ә ҽ ҿ ԑ э  f: ғ  g: ԍ  h: н һ ң ҥ ҧ ӈ ӊ ԣ ԧ ԩ
i: і ӏ  j: ј  k: к қ ҝ ҟ ҡ ӄ ԟ  m: м ӎ  n: п ԥ  o: о ө ѻ ҩ  p: р ҏ  q: ԛ  r: г ґ ӷ ԗ ӻ  s: ѕ ꙅ  t: т ҭ ꚍ
u: џ  v: ѵ  w: ш щ ԝ ѡ ѿ ѽ  x: х ҳ ӿ ӽ  y: у ү ұ ӌ ҷ ҹ ч  3: з ҙ ӡ ԅ ԇ  6: б
Greek
a: α  b: β  d: δ  e: ε  f: ϝ  h: ꜧ ͱ  i: ι  j: ϳ  k: κ ϰ ϗ  n: η  o: ο σ  p: ρ ϸ ϼ  q: ϙ ϟ  t: τ  u: υ μ  v: ν
w: ω ϣ  x: χ  y: γ  z: ζ  c: ϲ ͻ  s: ϛ  m: ϻ ϡ
Armenian
a: ա  d: ժ  f: ք ֆ  g: ց  h: հ ի  j: յ  l: լ  n: ո ռ ն  o: օ  p: բ  q: գ զ  s: ѕ տ  u: ս
Cherokee
d: Ꭰ ꭰ  r: Ꭱ Ꮢ  t: Ꭲ Ꮖ  i: Ꭵ  a: Ꭺ  j: Ꭻ  e: Ꭼ  w: Ꮃ Ꮤ  m: Ꮇ  h: Ꮋ Ꮒ  y: Ꮍ Ꭹ  g: Ꮐ Ᏻ  z: Ꮓ  b: Ᏼ Ꮟ  s: Ꮥ Ꮪ  v: Ꮩ
l: Ꮮ  c: Ꮯ  p: Ꮲ  k: Ꮶ  4: Ꮞ  6: Ꮾ
Coptic
a: ⲁ  b: ⲃ  e: ⲉ  h: ⲏ  i: ⲓ  k: ⲕ  m: ⲙ  n: ⲛ  o: ⲟ  p: ⲣ  c: ⲥ  t: ⲧ  y: ⲩ ⲅ  x: ⲭ  z: ⲍ
Lisu
b: ꓐ  p: ꓑ  d: ꓓ ꓒ  t: ꓔ  g: ꓖ  k: ꓗ  j: ꓙ  c: ꓚ  z: ꓜ  f: ꓝ  m: ꓟ  n: ꓠ  l: ꓡ  s: ꓢ  r: ꓣ  v: ꓦ  h: ꓧ  w: ꓪ  x: ꓫ
y: ꓬ  a: ꓮ  e: ꓰ  i: ꓲ  o: ꓳ  u: ꓴ
small capitals, and the phonetic alphabet
a: ᴀ ɑ ɐ ɒ ᶏ  ae: ᴁ ᴂ  b: ʙ ɓ ᴃ ᵬ ᶀ  c: ᴄ ɕ ƈ ȼ ꞓ ↄ  d: ᴅ ɖ ɗ ᴆ ᵭ ᶁ ᶑ ȡ ƌ  e: ᴇ ə ɘ ɛ ɜ ɝ ǝ ɚ ɞ ᴈ ᶒ ⱸ  f: ꜰ ƒ ᵮ ᶂ
g: ɢ ɡ ɠ ʛ ᶃ ǥ ᵹ  h: ʜ ɦ ɧ ɥ ħ ⱨ  i: ɪ ı ɨ ᴉ ᵻ ᶖ ɩ  j: ᴊ ʝ ɟ ȷ ɉ ʄ  k: ᴋ ƙ ʞ ⱪ ᶄ ꝁ  l: ʟ ɭ ɫ ɬ ƚ ł ᴌ ⱡ ᶅ ȴ ǀ
m: ᴍ ɱ ᵯ ᶆ  n: ɴ ɲ ɳ ŋ ƞ ᴎ ᵰ ᶇ ȵ  o: ᴏ ɵ ø ᴑ ᴓ ⱺ ɔ ᴐ  oe: œ ɶ  p: ᴘ ƥ ᵱ ᵽ ᶈ þ  q: ꞯ ʠ ɋ
r: ʀ ɹ ɺ ɻ ɼ ɽ ɾ ɿ ʁ ᴙ ᴚ ɍ ᵲ ᵳ ᶉ ꭈ  s: ꜱ ʂ ʃ ᵴ ᶊ ȿ ƨ  t: ᴛ ʇ ʈ ƫ ŧ ƭ ⱦ ᵵ ȶ  u: ᴜ ʉ ʊ ᴝ ᵾ ᶙ ʋ ꭎ  v: ᴠ ⱱ ⱴ ʌ ᶌ
w: ᴡ ʍ ⱳ ɯ ɰ  x: ᶍ ꭓ ꭖ  y: ʏ ʎ ƴ ɏ ỿ ꭚ  z: ᴢ ʐ ʑ ʒ ƶ ȥ ɀ ᵶ ᶎ ⱬ  hv: ƕ
letters with a stroke or a hook
a: ⱥ ꬰ  ae: æ  b: ƀ ƃ ƅ ꞗ  d: đ ð ꟈ  e: ɇ ꬲ ꬳ  g: ꞡ  h: ꞕ  k: ꞣ ꝃ ꝅ  n: ꞥ ꞑ  o: ꝋ ꝍ  p: ꝑ ꝓ ꝕ  q: ꝗ ꝙ  r: ꞧ  s: ꞩ  v: ꝟ
2: ƻ  3: ȝ ʓ ꝫ ᴣ  5: ƽ  8: ȣ
other scripts
o: ჿ ට ഠ ဝ ଠ ⵔ ⵙ  l: ⵏ ⵑ  x: ⵝ  e: ⴹ
"""
_CIRCLED = ((0x1F150, 26), (0x1F170, 26), (0x1F1E6, 26))  # white on black, and the letters that make up flags


def look_alikes() -> Mapping[str, str]:
    """Return the Latin letters or digit that each single character looks like."""
    return dict(_pairs())


def _pairs() -> Iterator[tuple[str, str]]:
    for line in _GROUPS.splitlines():
        latin = ""
        for part in line.split():
            if part.endswith(":"):
                latin = part[:-1]
            elif latin and len(part) == 1:
                yield part.casefold(), latin
    for first, count in _CIRCLED:
        for place in range(count):
            yield chr(first + place), chr(ord("a") + place)
