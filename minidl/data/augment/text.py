"""Easy data augmentation (EDA) of text: four small edits, on batches of sentences.

x is a list of sentences, each a string or a list of tokens (strings); y is handed on. In a string the words are edited
and what stands between them stays: punctuation, spaces, and the capital letter at the beginning. Tokens without a
letter or digit count as punctuation. A DataLoader over samples (string, label) hands out such lists.

A thesaurus is a mapping or a function from a word in lower case to its synonyms; `thesaurus.SYNONYMS` if none is given.

>>> import numpy as np
>>> from minidl.data import augment
>>> swap = augment.RandomSwap(0.3)
>>> swap(["The film, in short, was good."], [1], np.random.default_rng(0))
(['The good, in was, short film.'], [1])
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl.arrays import describe
from minidl.data.augment.common import check_probability
from minidl.data.augment.thesaurus import STOP_WORDS, SYNONYMS

__all__ = ["EDA", "RandomDeletion", "RandomInsertion", "RandomSwap", "SynonymReplacement"]

Sentence = str | list[str]
Thesaurus = Mapping[str, Sequence[str]] | Callable[[str], Sequence[str]]

WORD = re.compile(r"\w+(?:(?:['’-]|(?<=\d)[.,](?=\d))\w+)*")  # don't, well-known and 3.14 are one word each


class _Edit:
    """What the four operations share: `edit(words, gaps, rng)` changes two lists in place, words[i] being followed by
    gaps[i]. Here sentences are taken apart and put together again."""

    def __call__(self, x: list[Sentence], y: Any, rng: np.random.Generator) -> tuple[list[Sentence], Any]:
        check_sentences(type(self).__name__, x)
        return [self.one(sentence, rng) for sentence in x], y

    def one(self, sentence: Sentence, rng: np.random.Generator) -> Sentence:
        """One sentence, edited."""
        head, words, gaps = _apart(sentence)
        if not words:
            return sentence
        first = words[0]
        capital = first[0].isupper() and first[1:] == first[1:].lower()
        if capital and _is_no_name(first.lower()):
            words[0] = first.lower()  # it may move away from the beginning
        self.edit(words, gaps, rng)
        if capital:
            words[0] = words[0][0].upper() + words[0][1:]
        return _together(head, words, gaps)

    def edit(self, words: list[str], gaps: list[Any], rng: np.random.Generator) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class _WithThesaurus(_Edit):
    alpha: float = 0.1
    synonyms: Thesaurus = field(default_factory=lambda: SYNONYMS, repr=False)
    stop_words: Collection[str] = field(default=STOP_WORDS, repr=False)

    def __post_init__(self) -> None:
        check_probability(type(self).__name__, self.alpha, "alpha")
        if not isinstance(self.synonyms, Mapping) and not callable(self.synonyms):
            raise TypeError(f"synonyms is a mapping or a function word -> synonyms, not {describe(self.synonyms)}")

    def candidates(self, words: list[str]) -> list[tuple[int, Sequence[str]]]:
        """The places of words that are no stop words and have synonyms, with these."""
        plain = ((i, word.lower().replace("’", "'")) for i, word in enumerate(words))
        found = ((i, _look_up(word, self.synonyms)) for i, word in plain if word not in self.stop_words)
        return [(i, synonyms) for i, synonyms in found if synonyms]


@dataclass(frozen=True)
class SynonymReplacement(_WithThesaurus):
    """Replace n = max(1, round(alpha l)) of a sentence's l words by a synonym each, drawn at random.

    The words are drawn from those that have a synonym and are no stop words; if there are fewer than n, all of them are
    replaced. A synonym takes over the capitals of its word. alpha = 0 changes nothing.

    Raises ValueError if alpha is outside 0..1, TypeError if x is no list of sentences.

    Wei, Zou (2019), "EDA: Easy Data Augmentation Techniques for Boosting Performance on Text Classification Tasks",
    EMNLP, arXiv:1901.11196, section 2. (There all words that are not stop words can be drawn from WordNet.)

    >>> import numpy as np
    >>> from minidl.data import augment
    >>> replace = augment.SynonymReplacement(1.0, synonyms={"film": ["movie"]})
    >>> replace(["Film. FILM, a film!", "Nothing here."], None, np.random.default_rng(0))
    (['Movie. MOVIE, a movie!', 'Nothing here.'], None)
    """

    def edit(self, words: list[str], gaps: list[Any], rng: np.random.Generator) -> None:
        candidates = self.candidates(words)
        n = min(_count(self.alpha, words), len(candidates))
        for k in rng.permutation(len(candidates))[:n]:
            i, synonyms = candidates[k]
            words[i] = _in_case_of(words[i], _one_of(synonyms, rng))


@dataclass(frozen=True)
class RandomInsertion(_WithThesaurus):
    """Insert a synonym of a random word at a random place, n = max(1, round(alpha l)) times.

    The words are drawn from those that have a synonym and are no stop words; a sentence without any stays as it is.
    alpha = 0 changes nothing.

    Raises ValueError if alpha is outside 0..1, TypeError if x is no list of sentences.

    Wei, Zou (2019), "EDA: Easy Data Augmentation Techniques for Boosting Performance on Text Classification Tasks",
    EMNLP, arXiv:1901.11196, section 2.
    """

    def edit(self, words: list[str], gaps: list[Any], rng: np.random.Generator) -> None:
        n, space = _count(self.alpha, words), " " if isinstance(gaps[0], str) else []
        candidates = [(words[i], synonyms) for i, synonyms in self.candidates(words)]
        for _ in range(n if candidates else 0):
            word, synonyms = candidates[rng.integers(len(candidates))]
            place = rng.integers(len(words) + 1)
            # At the end the new word goes before the full stop, elsewhere between the gap and the word after it.
            gaps.insert(min(place, len(words) - 1), space)
            words.insert(place, _in_case_of(word, _one_of(synonyms, rng)))


@dataclass(frozen=True)
class RandomSwap(_Edit):
    """Swap two words at random places, n = max(1, round(alpha l)) times; punctuation stays where it is.

    A sentence of one word stays as it is, and alpha = 0 changes nothing.

    Raises ValueError if alpha is outside 0..1, TypeError if x is no list of sentences.

    Wei, Zou (2019), "EDA: Easy Data Augmentation Techniques for Boosting Performance on Text Classification Tasks",
    EMNLP, arXiv:1901.11196, section 2.
    """

    alpha: float = 0.1

    def __post_init__(self) -> None:
        check_probability(type(self).__name__, self.alpha, "alpha")

    def edit(self, words: list[str], gaps: list[Any], rng: np.random.Generator) -> None:
        for _ in range(_count(self.alpha, words) if len(words) > 1 else 0):
            i, j = rng.choice(len(words), 2, replace=False)
            words[i], words[j] = words[j], words[i]


@dataclass(frozen=True)
class RandomDeletion(_Edit):
    """Delete each word with probability p, and with it what follows it up to the next word; the end stays.

    If all words were to go, a random one is kept.

    Raises ValueError if p is outside 0..1, TypeError if x is no list of sentences.

    Wei, Zou (2019), "EDA: Easy Data Augmentation Techniques for Boosting Performance on Text Classification Tasks",
    EMNLP, arXiv:1901.11196, section 2.
    """

    p: float = 0.1

    def __post_init__(self) -> None:
        check_probability(type(self).__name__, self.p)

    def edit(self, words: list[str], gaps: list[Any], rng: np.random.Generator) -> None:
        kept = np.flatnonzero(rng.random(len(words)) >= self.p)
        if not len(kept):
            kept = [rng.integers(len(words))]
        end = gaps[-1]
        words[:], gaps[:] = [words[i] for i in kept], [gaps[i] for i in kept]
        gaps[-1] = end


@dataclass(frozen=True)
class EDA:
    """Easy data augmentation: one of the four operations above for each sentence, drawn with equal chances.

    alpha_sr, alpha_ri, alpha_rs: share of the words that are replaced, inserted, swapped; p_rd: the probability of
    deletion, all 0.1 as in the paper. p: the share of the sentences that are changed at all.

    Raises ValueError if one of them is outside 0..1, TypeError if x is no list of sentences.

    Wei, Zou (2019), "EDA: Easy Data Augmentation Techniques for Boosting Performance on Text Classification Tasks",
    EMNLP, arXiv:1901.11196.

    >>> import numpy as np
    >>> from minidl.data import augment
    >>> eda, rng = augment.EDA(), np.random.default_rng(0)
    >>> for _ in range(4):
    ...     print(*eda(["The story is slow, but the actors are very good."], None, rng)[0])
    The story slow is, but the actors are very good.
    The story is slow, but the actors are very excellent.
    The story is slow, but good actors are very the.
    Story slow, but the actors are very.
    """

    alpha_sr: float = 0.1
    alpha_ri: float = 0.1
    alpha_rs: float = 0.1
    p_rd: float = 0.1
    p: float = 1.0
    synonyms: Thesaurus = field(default_factory=lambda: SYNONYMS, repr=False)
    stop_words: Collection[str] = field(default=STOP_WORDS, repr=False)

    def __post_init__(self) -> None:
        check_probability("EDA", self.p)
        self.operations()  # which check the rest

    def operations(self) -> tuple[_Edit, ...]:
        """The four of them."""
        return (
            SynonymReplacement(self.alpha_sr, self.synonyms, self.stop_words),
            RandomInsertion(self.alpha_ri, self.synonyms, self.stop_words),
            RandomSwap(self.alpha_rs),
            RandomDeletion(self.p_rd),
        )

    def __call__(self, x: list[Sentence], y: Any, rng: np.random.Generator) -> tuple[list[Sentence], Any]:
        check_sentences("EDA", x)
        operations = self.operations()
        which = np.where(rng.random(len(x)) < self.p, rng.integers(4, size=len(x)), -1)  # -1: left alone
        return [s if k < 0 else operations[k].one(s, rng) for s, k in zip(x, which, strict=True)], y


def check_sentences(name: str, x: Any, tokens: bool = True) -> None:
    """x is a list of strings, or of lists of strings where tokens are taken."""
    good = isinstance(x, list | tuple) and all(
        isinstance(s, str) or (tokens and isinstance(s, list) and all(isinstance(t, str) for t in s)) for s in x
    )
    if not good:
        wanted = "strings or of lists of tokens" if tokens else "strings"
        raise TypeError(f"{name} takes a batch of sentences, a list of {wanted}, not {describe(x)}")


def _apart(sentence: Sentence) -> tuple[Any, list[str], list[Any]]:
    """What stands before the first word, the words, and what follows each: strings, or lists of tokens."""
    if isinstance(sentence, str):
        words, gaps = WORD.findall(sentence), WORD.split(sentence)
        return gaps[0], words, gaps[1:]
    words, gaps = [], [[]]
    for token in sentence:
        if WORD.search(token):
            words.append(token)
            gaps.append([])
        else:
            gaps[-1].append(token)
    return gaps[0], words, gaps[1:]


def _together(head: Any, words: list[str], gaps: list[Any]) -> Sentence:
    if isinstance(head, str):
        return head + "".join(word + gap for word, gap in zip(words, gaps, strict=True))
    return head + [token for word, gap in zip(words, gaps, strict=True) for token in (word, *gap)]


def _is_no_name(word: str) -> bool:
    """Would this word be written in lower case within a sentence? Only words that are known to be no names."""
    return (word in STOP_WORDS or word in SYNONYMS) and word.split("'")[0] != "i"


def _count(alpha: float, words: list[str]) -> int:
    return max(1, round(alpha * len(words))) if alpha else 0


def _look_up(word: str, thesaurus: Thesaurus) -> list[str]:
    found = thesaurus.get(word, ()) if isinstance(thesaurus, Mapping) else thesaurus(word)
    if isinstance(found, str) or not all(isinstance(s, str) for s in found):
        raise TypeError(f"a thesaurus gives a list of synonyms, but for {word!r} it gave {found!r:.60}")
    return [s for s in found if s and s != word]


def _one_of(synonyms: Sequence[str], rng: np.random.Generator) -> str:
    return synonyms[rng.integers(len(synonyms))]


def _in_case_of(word: str, synonym: str) -> str:
    """The synonym with the capitals of the word: film -> movie, Film -> Movie, FILM -> MOVIE."""
    if len(word) > 1 and word.isupper():
        return synonym.upper()
    return synonym[0].upper() + synonym[1:] if word[0].isupper() else synonym
