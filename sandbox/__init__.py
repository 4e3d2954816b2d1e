"""Contain: run untrusted code in a process that can do nothing but compute and answer.

    with Sandbox(slots=2, entries=["netwright.evaluator.worker:train_candidate"]) as sandbox:
        result = sandbox.run(Job(entry="netwright.evaluator.worker:train_candidate", payload={...}))

An exec'd zygote with a clean environment imports the entries once and forks single-use children. Each child
gives up its rights before it has its job; the trusted side watches it from outside and kills it when it
passes a limit.

Covered at T2 (the default): the environment, all files (by seccomp and by Landlock; inherited descriptors are
closed), sockets of any kind, new processes, signals to and memory of other processes, IPC, kernel interfaces;
wall time, memory, threads, output. What a job says is JSON within limits; large results come back through memory
whose size it cannot change.

Not covered:
- bugs of the kernel reachable through the system calls that remain (the filter is a denylist), and on CUDA
  the whole ioctl surface of the driver. A virtual machine around everything is the remedy where that matters.
- the existence, size and times of files: Landlock does not hide them from stat().
- anything inside the child's own process: a candidate can patch torch, forge its reply and read its inputs.
  So nothing that a job reports is evidence, and no secret belongs in an input.
- threads and CPU between two looks of the watchdog (25 ms), and what contention does to the timing of others.
- what the zygote has imported is in every child's memory, the bytecode and string constants of modules included.
- nothing may be opened at all, so everything must be imported beforehand; T0 has rlimits alone.
- CUDA: T2 reads Python's libraries there, since the driver opens files while it works and libraries share folders
  with the standard library. So text that lies in those folders is no secret on CUDA. The rules for its device files
  follow the literature and have not been tried on a GPU.
"""

from netwright.sandbox.isolation import IsolationReport, Tier, probe
from netwright.sandbox.job import ExitCause, Job, JobResult, Limits, SharedInput
from netwright.sandbox.runner import Sandbox

__all__ = [
    "ExitCause",
    "IsolationReport",
    "Job",
    "JobResult",
    "Limits",
    "Sandbox",
    "SharedInput",
    "Tier",
    "probe",
]
