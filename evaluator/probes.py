"""The gates that run a candidate: whether it builds, fits, computes, and minds its own past and row.

Each gate yields a `GateReport` whose message is one sentence to act on. Most look at the candidate's
layers alone, chained on random inputs: that is faster than the whole network and shows more. Evidence
that a planner reads is untrusted all the same: what decides a score is the audit of the trusted side.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from netwright.evaluator import causality, steadiness
from netwright.evaluator.backbone import parameter_count
from netwright.evaluator.causality import ROUNDING_MAX, StatefulRun, Subject, Trace
from netwright.evaluator.findings import PASS, Finding, causality_message, leak_evidence, run_gate
from netwright.evaluator.forms import answer_shape, loss_of, random_inputs, random_targets
from netwright.evaluator.limits import GATES
from netwright.evaluator.loading import OnStage, load_factory, persistent_state, seeded_network
from netwright.evaluator.replies import DYNAMIC_GATES
from netwright.evaluator.scoring import buffer_bytes_max, buffer_message
from netwright.evaluator.seeding import seed_all
from netwright.evaluator.sizing import parameters_max
from netwright.types import GateReport, JsonDict, Recipe, TaskSpec

_SEED = 1
_SLOW_FORWARD_SECONDS = 0.03
_BAIT_STEPS, _BAIT_SECONDS = 16, 0.15
_WIDE_ROWS = 32
"""As many as are scored in one call."""


class Probe:
    """One candidate under examination: built once, probed by gate after gate."""

    def __init__(self, source: str, spec: TaskSpec, recipe: Recipe, on_stage: OnStage | None = None) -> None:
        self.source, self.spec, self.recipe, self.on_stage = source, spec, recipe, on_stage
        self.generator = torch.Generator().manual_seed(_SEED)
        self.forward_seconds = 0.0
        self.stacked = True
        self.untouched: list[str] = []
        self.factory: type[nn.Module]
        self.network: nn.Module
        self.subject: Subject

    def builds(self) -> Finding:
        self.factory = load_factory(self.source, self.spec, self.on_stage)
        self.network = seeded_network(self.spec, self.factory, seed=_SEED, dropout=self.recipe.dropout)
        self.subject = Subject.of_network(self.network, self.factory, self.spec)
        if self.on_stage:
            self.on_stage(GATES)
        return PASS

    def parameters(self) -> Finding:
        """Only reached if the backbone's sizing rule found room; reports what it arrived at, and saved buffers."""
        total, own = parameter_count([self.network]), parameter_count([self.subject.module])
        _, buffers = persistent_state(self.network)
        evidence = {"total": total, "candidate": own, "budget": self.spec.parameters}
        if total == 0:
            return Finding("the network has no parameters to train: register them as nn.Parameter", evidence)
        if total > parameters_max(self.spec):
            return Finding(f"the network has {total:,} parameters, the budget is {self.spec.parameters:,}", evidence)
        n_bytes, room = sum(b.numel() * b.element_size() for b in buffers.values()), buffer_bytes_max(self.spec)
        message = buffer_message(n_bytes, sum(b.numel() for b in buffers.values()), room) if n_bytes > room else ""
        return Finding(message, evidence | {"buffer_bytes": n_bytes})

    def shapes(self) -> Finding:
        """Ask for the full length, odd lengths, length 1 and batches of 1 and 3; time the second, warm call."""
        full = self.spec.max_len
        odd = ((3, max(full * 3 // 4 - 1, 1)), (1, 1), (2, min(7, full)))
        for rows, length in ((1, full), *(odd if self._lengths_vary else ((3, full),))):
            x = self._draw(rows, length)
            begun = time.process_time()
            for part in self._parts():
                with torch.no_grad():
                    y = part(x.clone())
                message = self._shape_message(x, y)
                if message:
                    return Finding(message, {"rows": rows, "length": length})
            if rows == 3:
                self.forward_seconds = time.process_time() - begun
        return PASS

    def _parts(self) -> list[nn.Module]:
        """Return the candidate's layers one by one, or the network where it is all of it."""
        module = self.subject.module.eval()
        return list(module.parts) if isinstance(module, causality.Chain) else [module]

    def _shape_message(self, x: Tensor, y: object) -> str:
        expected = answer_shape(self.spec, *x.shape[:2]) if self.subject.whole else tuple(x.shape)
        asked = f"for {x.shape[0]} rows of " + (
            f"length {x.shape[1]}" if self._lengths_vary else f"{tuple(x.shape[1:])}"
        )
        if not isinstance(y, Tensor):
            return f"forward returned {type(y).__name__} {asked}, expected a tensor of shape {expected}"
        if tuple(y.shape) != expected:
            return f"forward returned shape {tuple(y.shape)} {asked}, expected {expected}"
        if y.dtype != torch.float32:
            return f"forward returned {y.dtype} {asked}, expected torch.float32: convert the result"
        return ""

    def finite(self) -> Finding:
        """Pass a random batch forward and back through the whole network, and forward in eval mode."""
        inputs, targets = self._draw_batch(2)
        if not torch.isfinite(StatefulRun(self.network.eval())(inputs)).all():
            return Finding("the untrained network gives NaN or infinity in eval mode: scale its weights down")
        self.network.train()
        seed_all(_SEED)
        logits = self.network(inputs)
        expected = answer_shape(self.spec, 2, self.spec.max_len)
        if tuple(logits.shape) != expected:
            return Finding(f"the network returned shape {tuple(logits.shape)}, expected {expected}")
        loss = loss_of(logits.float(), targets, self.spec)
        if not torch.isfinite(logits).all():
            return Finding("the untrained network gives NaN or infinity: scale the initial weights down")
        if not loss.requires_grad:
            return Finding("the loss has no gradient: do not detach, and keep parameters in the computation")
        loss.backward()  # type: ignore[no-untyped-call]
        for name, parameter in self.network.named_parameters():
            if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
                return Finding(f"the first gradient of {name} is not finite: avoid division by zero, sqrt(0), log(0)")
        return Finding("", {"loss_nats": round(float(loss.detach()), 4)})

    def large_inputs(self) -> Finding:
        if self.subject.whole:
            return PASS
        run = StatefulRun(self.subject.module.eval())
        if torch.isfinite(run(8.0 * self._draw(1, self.spec.max_len))).all():
            return PASS
        return Finding("8 times larger inputs give NaN or infinity: training may diverge; normalise or clamp")

    def determinism(self) -> Finding:
        """Make the same call three times in eval mode, with a call of another length between; then train mode."""
        x, other = self._draw(2, self.spec.max_len), self._draw(1, max(self.spec.max_len // 2, 1))
        evidence, unsteady = steadiness.repeated_calls(self.subject.module.eval(), x, other)
        if unsteady:
            return Finding(unsteady, evidence)
        name, moved = steadiness.moves_by_itself(
            self.network.train(), self._draw_batch(1), self._draw_batch(1), self.spec
        )
        if moved > steadiness.STILL:
            return Finding(
                f"{name} changed by {moved:.3g} of its size in a forward and backward pass: leave the parameters to "
                "the optimizer, which alone may take steps",
                evidence | {"parameter": name, "moved": moved},
            )
        return Finding("", evidence)

    def batch_independence(self) -> Finding:
        """Change the other rows, their order and their number; in train mode the other rows only."""
        x, donor = self._draw(3, self.spec.max_len), self._draw(3, self.spec.max_len)
        module = self.subject.module
        for mode in ("eval", "train"):
            run = StatefulRun(module.train(mode == "train"))
            trace = causality.row_effect(run, x, donor)
            if trace is None and mode == "eval":
                wide = self._draw(_WIDE_ROWS, min(self.spec.max_len, 16))
                trace = causality.order_effect(run, x) or causality.order_effect(run, wide)
            if trace is not None:
                self.stacked = False
                return Finding(
                    f"the output for one row changed by {trace.size:.3g} with the rest of the batch ({mode} "
                    "mode): compute every row by itself, without statistics over the batch",
                    leak_evidence(trace, mode),
                )
        return PASS

    def causality(self) -> Finding:
        """Try the cheap tests first; the state of the network is as built again afterwards.

        Nothing is tried where a row may be read as a whole, or where a code does so and the layers are not at hand.
        """
        if not self.spec.causal or (self.subject.whole and not self.spec.stepwise):
            return PASS
        saved = [(t, t.clone()) for t in (*self.subject.module.parameters(), *self.subject.module.buffers())]
        try:
            for test, trace in self._causality_tests():
                if trace is not None:
                    return Finding(causality_message(test, trace), leak_evidence(trace, test))
        finally:
            self.subject.module.float()
            self._note_untouched()
            with torch.no_grad():
                for tensor, original in saved:
                    tensor.copy_(original)
        return PASS

    def gradients(self) -> Finding:
        """Parameters that the bait training did not move take no part in the output."""
        names = [n for n, p in self.network.named_parameters() if p.requires_grad and p.grad is None]
        names = sorted({*names, *self.untouched})
        if not names:
            return PASS
        return Finding(
            f"no gradient reaches {', '.join(names[:3])}{' and others' if names[3:] else ''}: use or remove",
            {"parameters": len(names)},
        )

    def _causality_tests(self) -> Iterator[tuple[str, Trace | None]]:
        full = self.spec.max_len
        odd = max(full * 3 // 4 + 1, 2) if full > 2 else full
        module = self.subject.module
        run = StatefulRun(module.eval())
        yield "eval mode", self._future(run, full, [full // 3, full * 2 // 3, full - 1])
        yield f"eval mode, length {odd}", self._future(run, odd, [odd // 2, odd - 2])
        yield (
            "train mode",
            self._future(StatefulRun(module.train()), full, [full // 2, full - 1], stacked=False),
        )
        if not self.subject.whole and self.spec.stepwise:
            yield "whole network", self._network_effect()
        yield "shorter input", causality.length_effect(run_eval(module), self._draw(1, full), [full // 2 + 1])
        precise = self._go_precise()
        dtype = torch.float64 if precise else torch.float32
        length = full if self.forward_seconds < _SLOW_FORWARD_SECONDS else max(full // 3, 2)
        if precise:
            yield (
                "eval mode, float64",
                self._future(run_eval(module), length, [length // 2, length - 1], dtype),
            )
        if not self.subject.whole:
            yield "gradient", self._gradient(length, dtype)
        self._remember_parameters()
        # With foreign weights an honest candidate may meet a singular matrix; with its own it just did not.
        with contextlib.suppress(RuntimeError, ArithmeticError):
            yield from self._redrawn(length, dtype)
        module.float()
        self._restore_parameters()
        with contextlib.suppress(RuntimeError, ArithmeticError):
            yield from self._baited()

    def _redrawn(self, length: int, dtype: torch.dtype) -> Iterator[tuple[str, Trace | None]]:
        # Large weights can make honest arithmetic ill-conditioned: rounding may then be of any size.
        for scale, rounding_max in ((0.3, ROUNDING_MAX), (3.0, math.inf)):
            causality.redraw(self.subject.module, scale, self.generator)
            run, boundaries = run_eval(self.subject.module), [length // 2, length - 1]
            found = self._future(run, length, boundaries, dtype, rounding_max=rounding_max)
            yield f"weights redrawn at scale {scale:g}", found

    def _baited(self) -> Iterator[tuple[str, Trace | None]]:
        module, full = self.subject.module, self.spec.max_len
        causality.bait(self.subject, self.generator, steps=self._bait_steps(), length=min(full, 32))
        trained = self._future(StatefulRun(module.train()), full, [full // 2, full - 1], stacked=False)
        yield "train mode after a short training", trained
        yield "eval mode after a short training", self._future(run_eval(module), full, [full // 2, full - 1])

    def _future(
        self,
        run: StatefulRun,
        length: int,
        boundaries: Sequence[int],
        dtype: torch.dtype = torch.float32,
        *,
        stacked: bool = True,
        rounding_max: float = ROUNDING_MAX,
    ) -> Trace | None:
        if length < 2:
            return None
        x, donor = (self.subject.draw(1, length, self.generator, dtype) for _ in range(2))
        inner = sorted({min(max(boundary, 1), length - 1) for boundary in boundaries})
        return causality.future_effect(
            run, x, donor, inner, stacked=stacked and self.stacked, rounding_max=rounding_max
        )

    def _network_effect(self) -> Trace | None:
        """Ask the whole network too: a candidate may have changed what surrounds its layers."""
        length = self.spec.max_len
        if length < 2:
            return None
        x, donor = torch.randint(self.spec.vocab_size, (2, 1, length), generator=self.generator)
        run = StatefulRun(self.network.eval())
        return causality.future_effect(run, x, donor, [max(length // 2, 1), length - 1], stacked=False)

    def _gradient(self, length: int, dtype: torch.dtype) -> Trace | None:
        if length < 4:
            return None
        x = self.subject.draw(2, length, self.generator, dtype)
        return causality.gradient_effect(self.subject.module.eval(), x, [length // 4, length - 3])

    def _go_precise(self) -> bool:
        """Turn the module to float64 if it can work in it; candidates need not be able to."""
        module = self.subject.module.eval()
        try:
            module.double()
            with torch.no_grad():
                module(self.subject.draw(1, min(3, self.spec.max_len), self.generator, torch.float64))
        except (RuntimeError, TypeError, ValueError, AssertionError):
            module.float()
            return False
        return True

    def _remember_parameters(self) -> None:
        self._initial = [(p, p.detach().clone()) for p in self.subject.module.parameters()]

    def _restore_parameters(self) -> None:
        with torch.no_grad():
            for parameter, original in self._initial:
                parameter.copy_(original)
        self._initial = [(p, p.detach().clone()) for p in self.subject.module.parameters()]
        self._bait_started = True

    def _note_untouched(self) -> None:
        if not getattr(self, "_bait_started", False):
            return
        initial = {id(p): original for p, original in self._initial}
        self.untouched = [
            name
            for name, p in self.network.named_parameters()
            if p.requires_grad and id(p) in initial and torch.equal(p, initial[id(p)])
        ]

    def _bait_steps(self) -> int:
        """As many steps as fit the time; a step costs about three forward passes of a quarter's length."""
        return max(4, min(_BAIT_STEPS, int(_BAIT_SECONDS / (self.forward_seconds + 1e-4))))

    @property
    def _lengths_vary(self) -> bool:
        """Rows of numbers have one shape."""
        return self.spec.inputs == "tokens"

    def _draw_batch(self, rows: int) -> tuple[Tensor, Tensor]:
        """Draw inputs and targets of the whole network."""
        length = self.spec.max_len
        inputs = random_inputs(self.spec, rows, length, self.generator)
        return inputs, random_targets(self.spec, rows, length, self.generator)

    def _draw(self, rows: int, length: int) -> Tensor:
        return self.subject.draw(rows, length, self.generator, torch.float32)


def run_eval(module: nn.Module) -> StatefulRun:
    return StatefulRun(module.eval())


def run_gates(probe: Probe, tell: Callable[[JsonDict], None]) -> list[GateReport]:
    """Run the dynamic gates in order, ending where the rest would say nothing.

    `tell` hears each gate's name before it runs and its report after, for the case that a gate never ends; the probe's
    `on_stage` hears when building begins, and when the network is built.
    """
    gates = (
        probe.builds,
        probe.parameters,
        probe.shapes,
        probe.finite,
        probe.large_inputs,
        probe.determinism,
        probe.batch_independence,
        probe.causality,
        probe.gradients,
    )
    reports: list[GateReport] = []
    for name, gate in zip(DYNAMIC_GATES, gates, strict=True):
        tell({"gate": name})
        reports.append(run_gate(name, gate))
        tell({"report": reports[-1].model_dump(mode="json")})
        if reports[-1].rejects and name != "batch independence":
            break
    return reports
