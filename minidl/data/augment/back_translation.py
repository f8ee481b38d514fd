"""Back-translation: paraphrases of sentences by way of another language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.arrays import describe
from minidl.data.augment.common import check_probability
from minidl.data.augment.text import check_sentences

__all__ = ["BackTranslation"]


@dataclass(frozen=True)
class BackTranslation:
    """back(there(sentences)) for a random share p of the sentences: paraphrases by way of another language.

    there, back: functions list[str] -> list[str] of equal length, such as two translation models. They are handed the
    chosen sentences of the batch at once, and are not called where there are none.

    Raises ValueError if p is outside 0..1 or a translator returns another number of sentences, TypeError if it returns
    something else or x is no list of strings.

    Sennrich, Haddow, Birch (2016), "Improving Neural Machine Translation Models with Monolingual Data", ACL,
    arXiv:1511.06709.

    >>> import numpy as np
    >>> from minidl.data import augment
    >>> german = {"a small house": "ein kleines Haus"}
    >>> english = {"ein kleines Haus": "a little house"}
    >>> translate = lambda book: lambda sentences: [book[s] for s in sentences]
    >>> paraphrase = augment.BackTranslation(translate(german), translate(english))
    >>> paraphrase(["a small house"], [1], np.random.default_rng(0))
    (['a little house'], [1])
    """

    there: Callable[[list[str]], list[str]]
    back: Callable[[list[str]], list[str]]
    p: float = 1.0

    def __post_init__(self) -> None:
        check_probability("BackTranslation", self.p)
        for name, f in (("there", self.there), ("back", self.back)):
            if not callable(f):
                raise TypeError(f"BackTranslation: {name} is a function list[str] -> list[str], not {describe(f)}")

    def __call__(self, x: list[str], y: Any, rng: np.random.Generator) -> tuple[list[str], Any]:
        check_sentences("BackTranslation", x, tokens=False)
        chosen = np.flatnonzero(rng.random(len(x)) < self.p).tolist()
        result, some = list(x), [x[i] for i in chosen]
        for name in ("there", "back"):
            some = self._translate(name, some)
        for i, sentence in zip(chosen, some, strict=True):
            result[i] = sentence
        return result, y

    def _translate(self, name: str, sentences: list[str]) -> list[str]:
        result = getattr(self, name)(list(sentences)) if sentences else []
        if not isinstance(result, list | tuple) or not all(isinstance(s, str) for s in result):
            raise TypeError(f"BackTranslation: {name} must return a list of strings, not {describe(result)}")
        if len(result) != len(sentences):
            raise ValueError(f"BackTranslation: {name} got {len(sentences)} sentences and returned {len(result)}")
        return list(result)
