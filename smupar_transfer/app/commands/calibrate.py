"""``smupar calibrate``: what each backend takes for layers on this machine, by which ``auto`` chooses."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig
from rich.console import Group

from smupar_transfer.app import config_to_spec, console
from smupar_transfer.reporting.number_format import significant
from smupar_transfer.sparsity import DENSE, Calibrated, Workload, calibrate_anew, calibrated, calibration_file
from smupar_transfer.sparsity.autotune.decision import fastest
from smupar_transfer.sparsity.autotune.timing import largest_spread
from smupar_transfer.training import Execution, machine_name
from smupar_transfer.training.estimate import estimate_step
from smupar_transfer.training.process import prepare_process

BACKENDS = (DENSE, "masked", "expand", "csr", "native")


def run(config: DictConfig) -> None:
    """Measure what the target's layers lack and what a busy moment may have spoilt, or all anew; print all of it."""
    execution = config_to_spec.execution(config)
    # before the estimate, which measures what is missing: that is not to be measured twice
    known = calibrated(execution.device)
    estimate_step(config_to_spec.target_spec(config), execution)
    again = [layer for layer in known if config.fresh or layer.doubt]
    _measure([layer.workload for layer in again], execution)
    layers = calibrated(execution.device)
    out = console.terminal()
    for item in _tables(layers):
        out.print(item)
        out.print()
    for layer in layers:
        if layer.doubt:
            console.line(f"in doubt: {layer.workload}: {layer.doubt}; the next smupar calibrate measures it again")
    measured = len(again) + len(layers) - len(known)
    console.line(f"{len(layers)} layers of {machine_name(execution.device)}, {measured} measured now")
    console.line(f"kept in {calibration_file(execution.device)}")


def _measure(works: Sequence[Workload], execution: Execution) -> None:
    if not works:
        return
    with console.progress_bar("measuring", len(works)) as bar:
        for work in works:
            # a process has one number of threads, and a layer was timed with that of its workload
            prepare_process(work.threads)
            calibrate_anew(work)
            bar.advance()
    prepare_process(execution.threads)


def _tables(layers: Sequence[Calibrated]) -> list[Group]:
    """One for each precision and number of threads, or accelerator."""
    by_setting: dict[str, list[Calibrated]] = {}
    for layer in layers:
        by_setting.setdefault(str(layer.workload).split(" tokens, ")[1], []).append(layer)
    return [
        console.table(
            f"milliseconds of a training step of one layer: {_told(setting)}",
            ["layer", "density", "tokens", *BACKENDS, "takes", "spread", "measured"],
            [_row(layer) for layer in sorted(group, key=_order)],
        )
        for setting, group in sorted(by_setting.items())
    ]


def _told(setting: str) -> str:
    """The end of a workload's text, as people say it."""
    types, _, where = setting.replace("torch.", "").partition(", ")
    weights, _, products = types.partition(" in ")
    said = weights if weights == products else f"weights in {weights}, products in {products}"
    return f"{said}, {'1 thread' if where == '1 threads' else where}"


def _order(layer: Calibrated) -> tuple[int, int, int, int]:
    work = layer.workload
    return work.fan_out, work.fan_in, work.tokens, -work.nonzero


def _row(layer: Calibrated) -> list[str]:
    work, timings = layer.workload, layer.timings
    seconds = {name: timing.seconds for name, timing in timings.items()}
    return [
        f"{work.fan_out}x{work.fan_in}",
        significant(work.nonzero / work.size, 3),
        f"{work.tokens:,}",
        *(significant(1e3 * seconds[name], 3) if name in seconds else "" for name in BACKENDS),
        fastest(seconds),
        f"{largest_spread(timings):.0%}",
        max(timing.measured for timing in timings.values())[:10],
    ]
