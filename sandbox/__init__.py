"""Contain: run untrusted code in a process that can do nothing but compute and answer.

    with Sandbox(slots=2, entries=["netwright.evaluator.worker:train_candidate"]) as sandbox:
        result = sandbox.run(Job(entry="netwright.evaluator.worker:train_candidate", payload={...}))

An exec'd zygote with a clean environment imports the entries once and forks single-use children. Each child
gives up its rights before it has its job; the trusted side watches it from outside and kills it when it
passes a limit.

Covered at T2 and T3 (the default is the better of them that can be had): the environment, all files and even their
names, sockets, new processes, signals to and memory of other processes, IPC, kernel interfaces; wall and CPU time,
time per stage, memory, threads, open files, output. What a job says is JSON within limits; large results come back
through memory whose size it cannot change.

Not covered, in short (docs/security.md has all of it):
- bugs of the kernel reachable through the system calls that remain, and on CUDA, which has not been tried, the whole
  ioctl surface of the driver. A virtual machine around everything is the remedy where that matters.
- anything inside the child's own process: a candidate can patch torch, forge its reply and read its inputs.
  So nothing that a job reports is evidence, and no secret belongs in an input.
- what the zygote has imported: it is in every child's memory, the bytecode and string constants of modules included.
- what contention does to the timing of others.
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
