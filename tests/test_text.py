"""Text augmentation: counts and chances of each operation, punctuation and capitals, the loader."""

import collections
import re

import numpy as np
import pytest

from minidl import data
from minidl.data import augment
from minidl.data.augment import thesaurus

SENTENCES = [
    "The film, in short, was good.", "I've seen London: a big town!", '"Quick," she said, "go at once."  ', "", "?!",
    "One",
]  # fmt: skip
TOKENS = ["The", "film", ",", "in", "short", ",", "was", "good", "."]
OPERATIONS = [
    augment.SynonymReplacement(0.3), augment.RandomInsertion(0.3), augment.RandomSwap(0.3), augment.RandomDeletion(0.3),
    augment.EDA(), augment.EDA(0.3, 0.3, 0.3, 0.3, p=0.5),
]  # fmt: skip
ids = [repr(o) for o in OPERATIONS]


def words(sentence):
    return re.findall(r"[\w'-]+", sentence.lower())


def draws(transform, sentence, n=2000, seed=1):
    return transform([sentence] * n, None, np.random.default_rng(seed))[0]


def test_the_thesaurus_is_symmetric_and_has_no_stop_words():
    known = thesaurus.SYNONYMS
    assert 150 < len(known) < 700 and len(thesaurus.STOP_WORDS) > 100
    for word, others in known.items():
        assert others and word not in others and word not in thesaurus.STOP_WORDS
        assert re.fullmatch("[a-z]+", word)
        assert all(set(known[o]) | {o} == set(others) | {word} for o in others)
    listed = thesaurus._GROUPS.split()
    assert len(listed) == len(set(listed)) == len(known)


@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
def test_batches_of_any_kind_and_the_generator_alone_decides(operation):
    x, y = operation(SENTENCES, [1, 2, 3, 4, 5, 6], np.random.default_rng(0))
    again = operation(list(SENTENCES), None, np.random.default_rng(0))[0]
    assert x == again and y == [1, 2, 3, 4, 5, 6] and len(x) == 6
    assert x[3:5] == ["", "?!"]
    assert x is not SENTENCES and SENTENCES[0] == "The film, in short, was good."
    assert operation([], [], np.random.default_rng(0)) == ([], [])
    (tokens,), _ = operation([TOKENS], None, np.random.default_rng(0))
    assert isinstance(tokens, list) and tokens[-1] == "."
    assert TOKENS == ["The", "film", ",", "in", "short", ",", "was", "good", "."]


@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
def test_a_list_of_tokens_is_treated_as_its_sentence(operation):
    """The same draws give the same words, whether the sentence comes as a string or as tokens."""
    for seed in range(20):
        (tokens,), _ = operation([TOKENS], None, np.random.default_rng(seed))
        (string,), _ = operation(["The film, in short, was good."], None, np.random.default_rng(seed))
        assert " ".join(tokens).replace(" ,", ",").replace(" .", ".") == string


COUNTS = [(4, 0.1, 1), (14, 0.1, 1), (16, 0.1, 2), (30, 0.1, 3), (9, 0.5, 4), (9, 0, 0)]


@pytest.mark.parametrize("count, alpha, n", COUNTS)
def test_how_many_words_are_edited(count, alpha, n):
    """n = max(1, round(alpha l)), from l different words each with one synonym."""
    names = [f"w{i}" for i in range(count)]
    sentence, lookup = " ".join(names), lambda word: [word + "x"]
    rng = np.random.default_rng(0)
    replaced = augment.SynonymReplacement(alpha, lookup)([sentence], None, rng)[0][0].split()
    assert sum(a + "x" == b for a, b in zip(names, replaced, strict=True)) == n
    assert sum(a == b for a, b in zip(names, replaced, strict=True)) == count - n
    inserted = augment.RandomInsertion(alpha, lookup)([sentence], None, rng)[0][0].split()
    assert len(inserted) == count + n and [w for w in inserted if not w.endswith("x")] == names
    swapped = augment.RandomSwap(alpha)([sentence], None, rng)[0][0].split()
    assert sorted(swapped) == sorted(names)
    moved = sum(a != b for a, b in zip(names, swapped, strict=True))
    assert moved <= 2 * n and (moved == 2 if n == 1 else (moved > 0) == (n > 0))


def test_replacement_chooses_evenly_and_leaves_stop_words():
    many = draws(augment.SynonymReplacement(0.1), "The big film was a success.", 6000)
    seen = collections.Counter(many)
    wanted = {f"The {a} film was a success.": 1 / 6 for a in ("large", "huge", "enormous")}
    wanted |= {f"The big {b} was a success.": 1 / 4 for b in ("movie", "picture")}
    assert seen.keys() == wanted.keys()
    for text, share in wanted.items():
        assert abs(seen[text] / 6000 - share) < 4 * (share * (1 - share) / 6000) ** 0.5
    stop = augment.SynonymReplacement(1.0, lambda w: ["x"], stop_words={"keep"})
    assert stop(["Keep this, KEEP that"], None, np.random.default_rng(0))[0] == ["Keep x, KEEP x"]


def test_insertion_chooses_word_place_and_synonym_evenly():
    insert = augment.RandomInsertion(0.1, {"a1": ["x"], "b1": ["y", "z"]}, stop_words=())
    seen = collections.Counter(draws(insert, "a1, b1 c1.", 8000))
    for new, share in (("x", 1 / 2), ("y", 1 / 4), ("z", 1 / 4)):
        for text in (f"{new} a1, b1 c1.", f"a1, {new} b1 c1.", f"a1, b1 {new} c1.", f"a1, b1 c1 {new}."):
            p = share / 4
            assert abs(seen.pop(text) / 8000 - p) < 4 * (p * (1 - p) / 8000) ** 0.5
    assert not seen
    assert insert(["c1 d1", "c1"], None, np.random.default_rng(0))[0] == ["c1 d1", "c1"]


def test_swap_takes_every_pair_equally_often():
    seen = collections.Counter(draws(augment.RandomSwap(0.1), "x1, x2 (x3).", 6000))
    assert set(seen) == {"x2, x1 (x3).", "x3, x2 (x1).", "x1, x3 (x2)."}
    assert all(abs(n / 6000 - 1 / 3) < 4 * (2 / 9 / 6000) ** 0.5 for n in seen.values())


def test_deletion_takes_each_word_with_probability_p():
    kept = [s.split() for s in draws(augment.RandomDeletion(0.3), " ".join(f"w{i}" for i in range(20)), 2000)]
    share = np.array([[f"w{i}" in s for s in kept] for i in range(20)]).mean(1)
    assert abs(share.mean() - 0.7) < 4 * (0.21 / 40000) ** 0.5 and (abs(share - 0.7) < 5 * (0.21 / 2000) ** 0.5).all()
    last = collections.Counter(draws(augment.RandomDeletion(1.0), "x1, x2 x3.", 3000))
    assert set(last) == {"x1.", "x2.", "x3."}
    assert all(abs(n / 3000 - 1 / 3) < 4 * (2 / 9 / 3000) ** 0.5 for n in last.values())
    assert augment.RandomDeletion(0.0)(SENTENCES, None, np.random.default_rng(0))[0] == SENTENCES


def test_eda_takes_each_operation_equally_often_and_leaves_the_rest():
    x = "a1 a2 a3"
    eda = augment.EDA(synonyms={"a1": ["s1"]}, p_rd=1.0, p=0.8)
    kinds = collections.Counter(
        "none" if s == x else "sr" if s == "s1 a2 a3" else "rd" if len(words(s)) == 1 else "ri" if "s1" in s else "rs"
        for s in draws(eda, x, 8000)
    )
    for kind in ("sr", "ri", "rs", "rd", "none"):
        assert abs(kinds[kind] / 8000 - 0.2) < 4 * (0.16 / 8000) ** 0.5, kind


@pytest.mark.parametrize(
    "before, after",
    [
        ("Film", "Movie"), ("a FILM!", "a MOVIE!"), ("(film)", "(movie)"),
        ("  two  films\n film", "  two  films\n movie"),
        ("film-maker's", "film-maker's"), ("Film’s film", "Film’s movie"), ("an unfilmed film3", "an unfilmed film3"),
    ],
)  # fmt: skip
def test_punctuation_spaces_and_capitals_stay(before, after):
    assert augment.SynonymReplacement(1.0, {"film": ["movie"]})([before], None, np.random.default_rng(0))[0] == [after]


def test_the_capital_of_a_sentence_stays_at_its_beginning_and_names_keep_theirs():
    swap = augment.RandomSwap(0.1)
    assert set(draws(swap, "The town")) == {"Town the"} and set(draws(swap, "the town")) == {"town the"}
    assert set(draws(swap, "London wins.")) == {"Wins London."}
    assert set(draws(swap, "I wait.")) == {"Wait I."} and set(draws(swap, "I'll wait.")) == {"Wait I'll."}
    assert set(draws(swap, "3.14 don't")) == {"don't 3.14"}


def test_strings_through_the_loader():
    samples = [(f"The film {i} was good.", i % 2) for i in range(8)]
    eda = augment.EDA(synonyms=lambda word: {"film": ["movie"], "good": ["fine"]}.get(word, ()))
    loader = data.DataLoader(samples, batch_size=3, transform=eda, rng=0)
    batches = list(loader)
    assert [len(x) for x, _ in batches] == [3, 3, 2] and all(isinstance(s, str) for x, _ in batches for s in x)
    assert np.concatenate([y.numpy() for _, y in batches]).tolist() == [0, 1] * 4

    def lengths(x, y, rng):
        return np.float32([[len(s)] for s in x]), y

    loader = data.DataLoader(samples, batch_size=8, transform=data.Compose([eda, lengths]), rng=0)
    assert next(iter(loader))[0].shape == (8, 1)


def test_back_translation_hands_over_the_chosen_sentences_at_once():
    calls = []

    def there(sentences):
        calls.append(len(sentences))
        return [s[::-1] for s in sentences]

    def back(sentences):
        return tuple(s[::-1].upper() for s in sentences)

    x = [f"s{i}" for i in range(2000)]
    result, y = augment.BackTranslation(there, back, p=0.3)(x, "y", np.random.default_rng(0))
    changed = np.array([a != b for a, b in zip(x, result, strict=True)])
    assert y == "y" and all(b in (a, a.upper()) for a, b in zip(x, result, strict=True)) and x[0] == "s0"
    assert abs(changed.mean() - 0.3) < 4 * (0.21 / 2000) ** 0.5 and calls == [changed.sum()]
    assert augment.BackTranslation(there, back, p=0.0)(x, None, np.random.default_rng(0))[0] == x
    assert augment.BackTranslation(there, back)([], None, np.random.default_rng(0))[0] == [] and len(calls) == 1


@pytest.mark.parametrize(
    "wrong, error, message",
    [
        (lambda r: augment.SynonymReplacement(1.5), ValueError, "alpha is a probability"),
        (lambda r: augment.EDA(p_rd=-1), ValueError, "RandomDeletion: p is a probability"),
        (lambda r: augment.EDA(p=2), ValueError, "EDA: p is a probability"),
        (lambda r: augment.EDA(synonyms=["film"]), TypeError, "a mapping or a function word -> synonyms"),
        (lambda r: augment.RandomSwap()("one sentence", None, r), TypeError, "a list of strings or of lists of tokens"),
        (lambda r: augment.EDA()([["a", 1]], None, r), TypeError, "list of strings"),
        (lambda r: augment.EDA()(np.zeros(3), None, r), TypeError, "array float64"),
        (lambda r: augment.SynonymReplacement(1.0, {"a1": "x"})(["a1"], None, r), TypeError, "a list of synonyms"),
        (lambda r: augment.BackTranslation(1, len), TypeError, "there is a function"),
        (lambda r: augment.BackTranslation(len, len, p=7), ValueError, "p is a probability"),
        (lambda r: augment.BackTranslation(list, list)([["a"]], None, r), TypeError, "a list of strings, not"),
        (lambda r: augment.BackTranslation(lambda s: s[1:], list)(["a", "b"], None, r), ValueError, "there got 2 .* 1"),
        (lambda r: augment.BackTranslation(list, lambda s: [1])(["a"], None, r), TypeError, "back must return a list"),
    ],
)
def test_errors_say_what_to_do(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong(np.random.default_rng(0))


def test_sentences_without_labels_go_through_a_loader():
    loader = data.DataLoader(["a good day", "a bad day"], 2, transform=lambda x, y, rng: ([s.upper() for s in x], y))
    assert list(loader) == [["A GOOD DAY", "A BAD DAY"]]
