"""What designs are made of, read from their sources once and then remembered."""

from __future__ import annotations

from netwright.evaluator.structure import STRUCTURE_VERSION, structure_of, with_sizes
from netwright.memory.store import Memory
from netwright.types import Candidate, Structure, TaskSpec


def structure_in(memory: Memory, candidate: Candidate, task: TaskSpec) -> Structure:
    """Return what a candidate for `task` is made of, its recipe included, from memory if it was read before."""
    known = memory.structures(task.id, STRUCTURE_VERSION, candidate.id).get(candidate.id)
    if known is not None:
        return known
    structure = structure_of(candidate.source, candidate.genotype, task.recipe)
    memory.put_structure(candidate.id, task.id, STRUCTURE_VERSION, structure)
    return structure


def trained_structure(memory: Memory, candidate: Candidate, task: TaskSpec) -> Structure:
    """Return the same with the sizes of its network, where a training showed them."""
    return with_sizes(structure_in(memory, candidate, task), *memory.sizes(candidate.id, task.id))
