"""minidl.random: independent named streams, one seed, exact restart."""

import json
import runpy
import threading

import numpy as np
import pytest

from minidl import random


def draws(name, n=5):
    return random.generator(name).random(n).tolist()


def test_one_seed_repeats_every_stream():
    random.manual_seed(7)
    first = {name: draws(name) for name in ("init", "shuffle", "dropout")}
    random.manual_seed(7)
    assert {name: draws(name) for name in ("dropout", "shuffle", "init")} == first  # the order of asking is no matter
    assert len({tuple(v) for v in first.values()}) == 3  # and the streams differ
    random.manual_seed(8)
    assert draws("init") != first["init"]


def test_one_stream_does_not_move_another():
    random.manual_seed(1)
    alone = draws("shuffle")
    random.manual_seed(1)
    random.generator("dropout").random(1000)
    random.generator("a stream made later").integers(10, size=10)
    assert draws("shuffle") == alone


def test_streams_are_statistically_independent_of_seed_and_name():
    firsts = []
    for n in range(50):
        random.manual_seed(n)
        firsts += [draws(name, 20) for name in ("a", "b", "ab", "ba")]
    firsts = np.array(firsts)  # (200, 20)
    assert len(np.unique(firsts)) == firsts.size
    assert abs(np.corrcoef(firsts) - np.eye(200)).max() < 0.95  # 19,900 pairs of 20 numbers; equal streams would give 1
    assert abs(firsts.mean() - 0.5) < 5 * 12**-0.5 / firsts.size**0.5


def test_a_held_generator_follows_seed_and_state():
    held = random.generator("init")
    random.manual_seed(3)
    first = held.random()
    assert held is random.generator("init")
    random.manual_seed(3)
    assert held.random() == first


def test_state_survives_json_and_rewinds_streams_made_later():
    random.manual_seed(5)
    random.generator("shuffle").permutation(9)
    random.generator("dropout").integers(3, size=3, dtype=np.int32)  # leaves half a word behind
    state = json.loads(json.dumps(random.get_state()))
    went_on = {name: draws(name) for name in ("shuffle", "dropout", "made after saving")}
    random.manual_seed(99)
    draws("made after saving")
    random.set_state(state)
    assert random.seed() == 5
    assert {name: draws(name) for name in ("made after saving", "dropout", "shuffle")} == went_on


def test_the_state_does_not_depend_on_which_streams_exist():
    random.manual_seed(6)
    before = random.get_state()
    random.generator("made but not used")
    assert random.get_state() == before == {"seed": 6, "streams": {}}
    draws("used for a while")
    random.set_state(before)
    assert random.get_state() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda s: None,
        lambda s: [],
        lambda s: {"seed": 1},
        lambda s: {**s, "seed": -1},
        lambda s: {**s, "seed": "1"},
        lambda s: {**s, "streams": 3},
        lambda s: {**s, "streams": {"init": 3}},
        lambda s: {**s, "streams": {"": s["streams"]["init"]}},
        lambda s: {**s, "streams": {"init": {**s["streams"]["init"], "bit_generator": "MT19937"}}},
        lambda s: {**s, "streams": {"init": {**s["streams"]["init"], "state": {"state": 1}}}},
        lambda s: {**s, "streams": {**s["streams"], "z": {**s["streams"]["init"], "state": {"state": "1", "inc": 3}}}},
    ],
)
def test_a_foreign_state_is_refused_and_changes_nothing(change):
    draws("init")
    before = random.get_state()
    with pytest.raises(ValueError, match="not a state of minidl.random"):
        random.set_state(change(json.loads(json.dumps(before))))
    assert random.get_state() == before


def test_the_seed_is_fresh_at_each_import():
    assert runpy.run_path(random.__file__)["seed"]() != runpy.run_path(random.__file__)["seed"]()


def test_an_unseeded_process_reports_a_seed_that_repeats_it():
    random.manual_seed(random.seed())
    first = draws("init")
    random.manual_seed(random.seed())
    assert draws("init") == first
    assert isinstance(random.seed(), int)


def test_resolve():
    own = np.random.default_rng(0)
    assert random.resolve(own, "x") is own
    assert random.resolve(None, "x") is random.generator("x")
    for number in (4, np.int64(4)):
        assert random.resolve(number, "x").random() == np.random.default_rng(4).random()


@pytest.mark.parametrize(
    ("rng", "error", "message"),
    [
        (np.random, TypeError, "global.*default_rng"),
        (np.random.RandomState(0), TypeError, "legacy"),  # noqa: NPY002
        (True, TypeError, "bool"),
        (1.5, TypeError, "float.*stream 'dropout'"),
        ("dropout", TypeError, "a str"),
        (np.random.PCG64(0), TypeError, "PCG64"),
        (-1, ValueError, ">= 0"),
    ],
)
def test_resolve_teaches(rng, error, message):
    with pytest.raises(error, match=message):
        random.resolve(rng, "dropout")


@pytest.mark.parametrize(("n", "error"), [(-1, ValueError), (1.0, TypeError), (None, TypeError), (True, TypeError)])
def test_manual_seed_teaches(n, error):
    before = random.get_state()
    with pytest.raises(error, match="a seed is an integer >= 0"):
        random.manual_seed(n)
    assert random.get_state() == before


@pytest.mark.parametrize("name", ["", None, 3, b"init"])
def test_stream_names_are_strings(name):
    with pytest.raises(TypeError, match="non-empty string"):
        random.generator(name)


def test_numpys_global_state_is_left_alone():
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    random.manual_seed(0)
    draws("init")
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_threads_get_one_and_the_same_stream():
    start, found = threading.Barrier(8), []

    def ask():
        start.wait()
        found.append(random.generator("asked for by eight threads"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len({id(g) for g in found}) == 1
