"""Which devices a sandboxed process sees: one CUDA device, or none."""

from __future__ import annotations

import pytest

from netwright.sandbox.spare import clean_environment


@pytest.mark.parametrize(
    ("ours", "gpu", "theirs"),
    [
        (None, 0, "0"),
        (None, 3, "3"),
        ("", 1, "1"),
        ("2,5", 1, "5"),
        ("GPU-8932f937, MIG-3a1c", 0, "GPU-8932f937"),
        ("GPU-8932f937, MIG-3a1c", 1, "MIG-3a1c"),
    ],
)
def test_a_process_on_cuda_sees_the_device_that_was_chosen_alone(monkeypatch, ours, gpu, theirs):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if ours is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ours)

    assert clean_environment("cuda", gpu)["CUDA_VISIBLE_DEVICES"] == theirs


def test_a_process_on_the_cpu_hears_nothing_of_devices(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")

    assert not [name for name in clean_environment("cpu") if name.startswith("CUDA")]
