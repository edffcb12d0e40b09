from __future__ import annotations

import unicodedata

from ragguard.trace.confusables import _pairs, look_alikes


def test_each_character_looks_like_one_thing_only() -> None:
    seen: dict[str, str] = {}
    for character, latin in _pairs():
        assert seen.setdefault(character, latin) == latin, unicodedata.name(character)


def test_plain_letters_and_digits_never_change() -> None:
    assert not [character for character in look_alikes() if character.isascii()]


def test_every_look_alike_is_a_word_of_plain_letters_and_digits() -> None:
    assert all(
        latin.isascii() and latin.isalnum() and latin == latin.lower() for latin in look_alikes().values()
    )


def test_keys_are_folded_already_or_would_never_be_found() -> None:
    assert all(len(character) == 1 and character.casefold() == character for character in look_alikes())


def test_the_letters_most_used_to_deceive_are_there() -> None:
    assert "".join(look_alikes()[character] for character in "асеорхуіјѕԁһкмтвн") == "aceopxyijsdhkmtbh"
    assert "".join(look_alikes()[character] for character in "ανορτικχ") == "avoptikx"
