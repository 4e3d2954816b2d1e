"""How a training was executed is told where its trial is shown."""

from __future__ import annotations

from netwright.cli.executed import executed_words


def test_equal_ways_are_told_once():
    told = [{"device": "cpu", "precision": "float32", "train_seconds": seconds} for seconds in (1.0, 2.0)]

    assert executed_words(told) == ["trained on cpu, in float32"]


def test_why_something_was_left_out_is_told_without_the_way_there():
    why = "  candidate.py:9 in forward: return torch.linalg.inv(x)\nNotImplementedError: no kernel"
    slow = "stage 'torch.compile' still running after 5 s"
    told = {"device": "NVIDIA A100", "precision": "float32", "not_in_bf16": why, "not_compiled": slow}

    assert executed_words([told]) == [
        f"trained on NVIDIA A100, in float32 (not in bf16: NotImplementedError: no kernel), not compiled: {slow}"
    ]


def test_what_compiled_is_told_with_the_time_that_it_took():
    told = {"device": "cpu", "precision": "bf16", "backend": "inductor", "compile_seconds": 31.5}

    assert executed_words([told]) == ["trained on cpu, in bf16, compiled by inductor in 31.5 s"]


def test_trials_of_an_older_netwright_and_failures_say_nothing():
    assert executed_words([{}, {"train_seconds": 1.0}]) == []
