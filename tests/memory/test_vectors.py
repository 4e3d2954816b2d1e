"""Every candidate gets its vector with its experiment; a reader, a crash and a second model change nothing of that."""

from __future__ import annotations

import numpy as np
import pytest

from netwright.errors import ConfigError
from netwright.memory import Knowledge, Memory, lexical, vectors
from netwright.types import Structure


class Lengths:
    """A model of three numbers: the length of a text, its words, and one."""

    def __init__(self, name: str = "lengths", dimensions: int = 3) -> None:
        self.name, self.dimensions, self.asked = name, dimensions, []

    def embed(self, texts):
        self.asked += texts
        rows = [[len(text), len(text.split()), 1.0][: self.dimensions] for text in texts]
        return np.array(rows, np.float32)


def stored(memory, model: str = lexical.NAME) -> list[tuple[int | None, bool]]:
    sql = (
        "SELECT v.candidate, v.stamp > 0 AND v.vector IS NOT NULL AS made FROM vectors v "
        "JOIN embedders e ON e.id = v.embedder_id WHERE e.name = ? ORDER BY v.id"
    )
    return [(row["candidate"], bool(row["made"])) for row in memory.connection.rows(sql, (model,))]


def test_equal_texts_have_equal_vectors_and_other_forms_of_a_word_near_ones():
    one, several, other = (
        lexical.word_vector(lexical.bag([(text, 1.0)])) for text in ("convolution", "convolutions", "matrix")
    )

    assert one @ one == pytest.approx(1.0)
    assert 0.15 < one @ several < 0.9
    assert abs(one @ other) < 0.15


def test_words_and_structure_have_places_of_their_own():
    words = lexical.word_vector(lexical.bag([("a gate for the shortConv_1", 1.0)]))
    parts = lexical.part_vector(Structure(counts={"exp": 2.0}, choices={"kind": "attention"}))

    assert words @ parts == 0.0
    assert np.linalg.norm(parts) == pytest.approx(1.0)
    assert not lexical.part_vector(Structure()).any()


def test_a_vector_is_made_in_the_transaction_of_its_experiment(memory, campaign, make_candidate, make_record):
    design = make_candidate(1)
    memory.put_candidate(design)
    assert stored(memory) == [(1, True), (2, False)]

    memory.remember(campaign.id, make_record(1, design))

    assert stored(memory) == [(1, True), (2, True)]


def test_what_is_said_later_makes_a_vector_anew(memory, campaign, task, make_candidate, make_record):
    design = make_candidate(1)
    memory.put_candidate(design)
    memory.remember(campaign.id, make_record(1, design))

    memory.put_structure(design.id, task.id, 1, Structure(counts={"exp": 1.0}))
    assert stored(memory) == [(1, True), (2, False)]

    assert vectors.fill_all_own(memory.connection) == 1
    assert stored(memory) == [(1, True), (2, True)]
    assert vectors.fill_all_own(memory.connection) == 0


def test_a_reader_finds_what_has_no_vector_yet_and_writes_nothing(home, memory, campaign, make_candidate):
    memory.put_candidate(make_candidate(1, title="Holographic memory"))
    asked = lexical.word_vector(lexical.bag([("holograms", 1.0)]))

    with Memory.open(home, read_only=True) as reader:
        (first, *_) = reader.shelf(lexical.NAME).nearest(asked, 5)
        assert first.key == 2

        memory.put_knowledge(Knowledge(kind="block", title="Hologram", text="interference"))
        assert reader.shelf(lexical.NAME).nearest(asked, 1)[0].key == -1

    assert stored(memory) == [(1, True), (2, False), (None, False)]


def test_a_shelf_takes_in_more_than_it_had_room_for(memory, make_candidate):
    shelf = memory.shelf(lexical.NAME)
    for number in range(20):
        memory.put_candidate(make_candidate(number))
        shelf.refresh()

    assert shelf.size == 20
    found = shelf.nearest(lexical.word_vector(lexical.bag([("13", 1.0)])), 1)
    assert found[0].key == 14


def test_the_models_of_an_endpoint_keep_vectors_apart_from_each_other(memory, campaign, make_candidate):
    one, other = Lengths("one"), Lengths("other", dimensions=2)
    for model in (one, other):
        assert vectors.fill(memory.connection, model) == 1
    memory.put_candidate(make_candidate(1))

    assert vectors.fill(memory.connection, one) == 1
    assert stored(memory, "one") == [(1, True), (2, True)]
    assert stored(memory, "other") == [(1, True), (2, False)]
    assert memory.shelf("one").nearest(np.ones(3, np.float32), 5)
    assert memory.shelf("other").missing == 1


def test_a_fill_that_broke_off_goes_on_where_it_stopped(memory, make_candidate, monkeypatch):
    monkeypatch.setattr(vectors, "AT_ONCE", 2)
    for number in range(5):
        memory.put_candidate(make_candidate(number))

    class Fails(Lengths):
        def embed(self, texts):
            if self.asked:
                raise ConnectionError
            return super().embed(texts)

    with pytest.raises(ConnectionError):
        vectors.fill(memory.connection, Fails())
    model = Lengths()

    assert vectors.fill(memory.connection, model) == 3
    assert len(model.asked) == 3
    assert all(made for _, made in stored(memory, "lengths"))


def test_vectors_of_another_length_under_the_same_name_are_refused(memory, campaign, make_candidate):
    vectors.fill(memory.connection, Lengths())
    memory.put_candidate(make_candidate(1))

    with pytest.raises(ConfigError, match="'lengths' makes vectors of 2 numbers, and made some of 3 earlier"):
        vectors.fill(memory.connection, Lengths(dimensions=2))
