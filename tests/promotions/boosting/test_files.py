"""A folder that is not what was saved is refused in one line, and nothing in it is run."""

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from promotions.base.errors import InputError
from promotions.boosting.binned import Binned
from promotions.boosting.files import FILE, read_boosters, read_model, write_model
from promotions.boosting.settings import Boosting

KIND = "for a test"


@pytest.fixture(scope="module")
def booster():
    features = np.random.default_rng(1).normal(size=(300, 2))
    return Binned(features).fit(Boosting(trees=5, min_leaf=10), features[:, 0], seed=1)


@pytest.fixture
def folder(tmp_path, booster):
    write_model(tmp_path, {"kind": KIND, "answer": 42}, {"trees.txt": booster})
    return tmp_path


def read(folder):
    document = read_model(folder, [KIND], ["answer"])
    return document, read_boosters(folder, document)


def refused(folder, message):
    with pytest.raises(InputError, match=message) as error:
        read(folder)
    assert "\n" not in str(error.value)


def change(folder, **changed):
    document = json.loads((folder / FILE).read_text()) | changed
    (folder / FILE).write_text(json.dumps(document))


def test_what_is_written_is_read(folder, booster):
    document, boosters = read(folder)
    assert document["answer"] == 42
    assert boosters["trees.txt"].model_to_string() == booster.model_to_string()


def test_a_folder_without_a_model_says_where_it_was_looked_for(tmp_path):
    refused(tmp_path / "absent", r"no file at '.*absent/model\.json'; an earlier stage writes it: run `dvc repro`")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "a list where a mapping is expected"),
        ("{}", "of the kind None, not for a test"),
        ('{"kind": "another"}', "of the kind 'another', not for a test"),
        ('{"kind": ["for a test"]}', "of the kind"),
        ('{"kind": "for a test"}', "without answer"),
        ('{"kind": "for a test", "answer": 1}', "without the files of its trees"),
        ('{"kind": "for a test", "answer": 1, "sha256": 3}', "without the files of its trees"),
        ('{"kind": "for a test", "answer": 1, "sha256": {"absent.txt": "0"}}', "absent.txt, which is missing"),
    ],
)
def test_a_document_of_another_shape_is_refused(folder, text, message):
    (folder / FILE).write_text(text)
    refused(folder, message)


@pytest.mark.parametrize("left", [0, 1, 0.5, 0.99])
def test_trees_that_were_cut_short_are_refused(folder, left):
    whole = (folder / "trees.txt").read_bytes()
    (folder / "trees.txt").write_bytes(whole[: int(left * (len(whole) - 1))])
    refused(folder, "trees.txt, which is incomplete or was changed")


def test_trees_that_were_changed_are_refused(folder):
    text = (folder / "trees.txt").read_text()
    (folder / "trees.txt").write_text(text.replace("left_child=", "left_child=9", 1))
    refused(folder, "trees.txt, which is incomplete or was changed")


def test_a_file_of_another_kind_is_refused_even_if_its_digest_is_right(folder):
    (folder / "trees.txt").write_text("no trees at all\n")
    change(folder, sha256={"trees.txt": hashlib.sha256(b"no trees at all\n").hexdigest()})
    refused(folder, "trees.txt, which is not LightGBM's text")


@pytest.mark.parametrize("name", ["../trees.txt", "/etc/hostname", "a/trees.txt"])
def test_a_file_outside_of_the_folder_is_not_opened(folder, name):
    change(folder, sha256={name: "0"})
    refused(folder, "which is no file of that folder")


class Touches:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", [FILE, "trees.txt"])
def test_a_pickle_in_place_of_a_file_is_refused_and_not_run(folder, name):
    victim = folder / "it ran"
    evil = pickle.dumps(Touches(victim))
    (folder / name).write_bytes(evil)
    if name != FILE:
        change(folder, sha256={name: hashlib.sha256(evil).hexdigest()})
    refused(folder, "not JSON" if name == FILE else "not LightGBM's text")
    assert not victim.exists()
    pickle.loads(evil)
    assert victim.exists(), "the pickle would have"
