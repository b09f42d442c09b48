"""Sweep files: found by name or path, expanded, and refused in one line where they are wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from smupar_transfer.app import overrides
from smupar_transfer.app.hydra_entry import _expand_name
from smupar_transfer.app.sweep_config import Points, at_point, narrowed, typed
from smupar_transfer.sweeps import shipped
from smupar_transfer.sweeps.axes import Grid, GridAxis, parse_grids
from smupar_transfer.sweeps.files import (
    find_sweep,
    load_sweep,
    shipped_sweeps,
    sweep_overrides,
)
from smupar_transfer.sweeps.sweep import Sweep
from smupar_transfer.theory import InputError

Run = Callable[..., CompletedProcess[str]]


def changed(grid_file: Path, old: str, new: str) -> Path:
    content = grid_file.read_text(encoding="utf-8")
    assert old in content
    path = grid_file.with_name("changed.yaml")
    path.write_text(content.replace(old, new), encoding="utf-8")
    return path


def test_grids_are_united_and_points_that_repeat_are_dropped() -> None:
    first: Grid = {"a": GridAxis(values=[1, 2]), "b": GridAxis(values=[3])}
    second: Grid = {"b": GridAxis(values=[3, 4]), "a": GridAxis(values=[2])}
    sweep = Sweep("name", "q", "e", "c", (), [first, second], 3)
    assert list(sweep.points()) == [{"a": 1, "b": 3}, {"a": 2, "b": 3}, {"b": 4, "a": 2}]


def test_a_sweep_says_how_it_is_to_be_analysed(grid_file: Path) -> None:
    sweep = load_sweep(str(grid_file))
    assert (sweep.kind, sweep.swept, sweep.axis, sweep.tied) == ("stability", ("learning_rate",), "sparsity", ())
    assert (sweep.reference, sweep.adaptive) == (None, None)
    words = "kind: gain\nswept: [init_std]\naxis: width\ntied: [sparsity]\nreference: sp\nruns: 12"
    sweep = load_sweep(str(changed(grid_file, "runs: 12", words)))
    assert (sweep.kind, sweep.swept, sweep.axis, sweep.tied) == ("gain", ("init_std",), "width", ("sparsity",))
    assert sweep.reference == "sp"


def test_an_adaptive_sweep_counts_its_full_grid_and_has_cells(adaptive_file: Path) -> None:
    sweep = load_sweep(str(adaptive_file))
    assert sweep.adaptive is not None
    assert (sweep.adaptive.coarse, sweep.adaptive.reach, len(sweep.adaptive.log2.expand())) == (2.0, 1.0, 7)
    points = list(sweep.points())
    assert len(points) == sweep.runs == 3 * 7 * 2
    assert {key for point in points for key in point} == {"parametrization.name", "hparams.learning_rate", "seed"}
    assert list(sweep.cells()) == [({"parametrization.name": name}, (1, 0)) for name in ("sp", "mup", "smupar")]


@pytest.mark.parametrize(("words", "runs"), [((), 12), (("seed=3",), 12), (("parametrization=sp",), 6)])
def test_what_a_person_fixes_by_hand_takes_the_place_of_an_axis(
    grid_file: Path, composed: Callable[..., DictConfig], words: tuple[str, ...], runs: int
) -> None:
    sweep = load_sweep(str(grid_file))
    points = list(narrowed(sweep, composed("sweep", f"sweep={grid_file}", *words), words).points())
    assert len(points) == runs
    assert {point["seed"] for point in points} == ({3} if "seed=3" in words else {0})
    assert {point["parametrization.name"] for point in points} == ({"sp"} if runs == 6 else {"sp", "smupar"})


def test_what_the_file_itself_sets_fixes_no_axis(grid_file: Path, composed: Callable[..., DictConfig]) -> None:
    content = grid_file.read_text(encoding="utf-8").replace("[target.width=32]", "[target.width=32, seed=5]")
    content = content.replace("runs: 12", "  - hparams.learning_rate: [0.5]\nruns: 13")
    grid_file.write_text(content, encoding="utf-8")
    sweep = load_sweep(str(grid_file))
    same = narrowed(sweep, composed("sweep", f"sweep={grid_file}", *sweep.overrides), [])
    assert list(same.points()) == list(sweep.points())


def test_what_an_adaptive_sweep_searches_cannot_be_fixed(
    adaptive_file: Path, composed: Callable[..., DictConfig]
) -> None:
    words = ["hparams.learning_rate=0.25"]
    with pytest.raises(InputError, match=r"^hparams\.learning_rate=0\.25: is what .* searches over; leave it out"):
        narrowed(load_sweep(str(adaptive_file)), composed("sweep", f"sweep={adaptive_file}", *words), words)


def test_grids_may_add_seeds_to_a_cell() -> None:
    fewer: Grid = {"a": GridAxis(values=[1, 2]), "seed": GridAxis(values=[0])}
    more: Grid = {"seed": GridAxis(values=[1, 0]), "a": GridAxis(values=[2])}
    assert list(Sweep("name", "q", "e", "c", (), [fewer, more], 4).cells()) == [({"a": 1}, (0,)), ({"a": 2}, (0, 1))]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param("coarse: 2", "coarse: 1.3", r"^adaptive.coarse=1.3: .*multiple of step=0.5", id="between steps"),
        pytest.param("coarse: 2", "coarse: wide", r"^adaptive.coarse=wide: ", id="coarse is a word"),
        pytest.param("coarse: 2", "coarse: true", r"^adaptive.coarse=True: ", id="coarse is a truth value"),
        pytest.param("reach: 1", "reach: 0", r"^adaptive.reach=0: ", id="no reach"),
        pytest.param(
            "key: hparams.learning_rate", "key: [a]", r"^adaptive.key=\['a'\]: .* is no key", id="key is a list"
        ),
        pytest.param(
            "adaptive:", "kind: search\nadaptive:", r"^adaptive=.*is not for kind search; kinds stability", id="kind"
        ),
        pytest.param("  reach: 1\n", "", r"^adaptive=.*mapping of key, log2, coarse, reach", id="key missing"),
        pytest.param("reach: 1", "reach: 1\n  more: 1", r"^adaptive=.*more", id="key too many"),
        pytest.param("step: 0.5", "step: 0", r"^adaptive.log2=.*first, last, step", id="step of zero"),
        pytest.param("reach: 1", "reach: 1\n  carried: 1", r"^adaptive.carried=1: .*true nor false", id="carried"),
        pytest.param("  reach: 1", "  reach: 1\n  carried: true\nkind: proxy_size", "carried=True", id="no regret"),
        pytest.param("key: hparams.learning_rate", "key: seed", r"^adaptive.key=seed: .*axis of grids too", id="twice"),
        pytest.param("key: hparams.learning_rate", "key: hparams.init_std", r"^adaptive.key=.*swept", id="not swept"),
        pytest.param("    seed: [1, 0]\n", "", r"^grids=.*has no seed", id="no seed"),
        pytest.param("runs: 42", "runs: 24", r"^runs=24: .*expands to 42 runs", id="number of the full grid"),
        pytest.param("cost:", "kind: stabilty\ncost:", r"^kind=stabilty: .*did you mean stability", id="kind"),
        pytest.param("cost:", "kind: xyz\ncost:", r"^kind=xyz: .*there are stability, contours, gain", id="far kind"),
        pytest.param("cost:", "swept: [lerning_rate]\ncost:", r"^swept=lerning_rate: .*learning_rate", id="swept"),
        pytest.param("cost:", "swept: learning_rate\ncost:", r"^sweep=.*swept", id="swept is a word"),
        pytest.param("cost:", "axis: widht\ncost:", r"^axis=widht: .*did you mean width", id="axis of scale"),
        pytest.param("cost:", "tied: [sparsety]\ncost:", r"^tied=sparsety: .*did you mean sparsity", id="tied"),
        pytest.param("cost:", "reference: spp\ncost:", r"^reference=spp: .*did you mean sp", id="reference"),
        pytest.param("cost:", "kind: gain\ncost:", r"^reference=: .*must be given", id="gain over what"),
    ],
)
def test_wrong_keys_of_search_and_analysis_are_refused_in_one_line(
    adaptive_file: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_sweep(str(changed(adaptive_file, old, new)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("swept: []", r"^swept=\[\]: .* kind stability looks at; name 1, as in swept: \[learning_rate\]"),
        ("swept: [learning_rate, init_std]", r"^swept=.*; name 1"),
        ("swept: [init_std, init_std]", r"^swept=.* names something twice"),
        ("kind: contours\nswept: [learning_rate]", r"^swept=.* kind contours looks at; name 2, as in"),
        ("kind: search\nswept: []", r"^swept=.* kind search looks at; name one or more"),
        ("tied: [width, width]", r"^tied=.* names something twice"),
        ("axis: width\ntied: [width]", r"^tied=width: .* is the axis itself"),
    ],
)
def test_what_no_analysis_can_use_is_refused_before_anything_is_trained(
    grid_file: Path, words: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_sweep(str(changed(grid_file, "overrides:", f"{words}\noverrides:")))


@pytest.mark.parametrize(
    ("words", "targets"),
    [
        (["target.width=256"], {(256, sparsity) for sparsity in (0.0, 0.5, 0.75, 0.875, 0.9375)}),
        (["target.width=128", "target.sparsity=0.875"], {(128, 0.875)}),
        (["target=wide_sparse"], {(256, 0.9375)}),
        (["seed=0"], {(256, sparsity) for sparsity in (0.0, 0.5, 0.75, 0.875, 0.9375)}),
    ],
)
def test_a_key_given_by_hand_counts_although_the_sweep_sets_it(
    words: list[str],
    targets: set[tuple[int, float]],
    composed: Callable[..., DictConfig],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``lr_by_sparsity`` sets width 256; its cells of the dense proxy, where regret starts, stay as they are."""
    line = _expand_name("sweep", ["lr_by_sparsity", *words])
    monkeypatch.setattr(overrides, "words_given", lambda: line)
    assert overrides.words_by_hand() == words
    config = composed("sweep", *line)
    points = list(narrowed(load_sweep("lr_by_sparsity"), config, overrides.words_by_hand()).points())
    targeted = {(point.get("target.width", config.target.width), point["target.sparsity"]) for point in points}
    assert targeted == {(None, 0.0), *targets}
    assert {point["seed"] for point in points} == ({0} if words == ["seed=0"] else {0, 1, 2, 3, 4})


def test_a_sweep_is_read_from_a_path(grid_file: Path) -> None:
    sweep = load_sweep(str(grid_file))
    assert (sweep.name, sweep.runs, sweep.overrides) == ("grid", 12, ("target.width=32",))
    assert sweep.question == "Does a grid of a dozen tiny runs work?"
    points = list(sweep.points())
    assert len(points) == 12
    expected = {"parametrization.name": "sp", "target.sparsity": 0.0, "hparams.learning_rate": 2.0**-8, "seed": 0}
    assert points[0] == expected
    assert sweep_overrides(str(grid_file)) == ["target.width=32"]
    own = changed(grid_file, "[target.width=32]", "[target=wide_sparse, target.width=32]")
    assert sweep_overrides(str(own)) == ["target=wide_sparse", "target.width=32"]


def test_shipped_sweeps_are_found_by_name_and_search_spaces_are_none() -> None:
    for name, path in shipped_sweeps().items():
        assert find_sweep(name) == path
        assert shipped.SWEEPS in path.parents
    assert "base" not in shipped_sweeps()
    with pytest.raises(InputError, match=r"^sweep=base: is no sweep"):
        find_sweep("base")


@pytest.mark.parametrize("name", shipped_sweeps())
def test_what_a_shipped_sweep_costs_is_said_of_the_runs_that_it_has(name: str) -> None:
    sweep = load_sweep(name)
    said = re.findall(r"(?:of )?([\d,]+) runs", sweep.cost)
    assert said[0].replace(",", "") == str(sweep.runs)


def test_a_persons_own_folder_comes_first(grid_file: Path, tmp_path: Path) -> None:
    (tmp_path / "own" / "deep").mkdir(parents=True)
    mine = grid_file.rename(tmp_path / "own" / "deep" / "lr_by_sparsity.yaml")
    assert find_sweep("lr_by_sparsity", str(tmp_path / "own")) == mine
    assert find_sweep("lr_by_sparsity") == shipped_sweeps()["lr_by_sparsity"]


@pytest.mark.parametrize(
    ("name", "hint"), [("lr_by_sparsit", "did you mean lr_by_sparsity?"), ("xyzzy", "there are ablations, ")]
)
def test_an_unknown_name_gets_a_suggestion(name: str, hint: str) -> None:
    with pytest.raises(InputError, match=rf"^sweep={name}: is no sweep; ") as caught:
        find_sweep(name)
    assert hint.rstrip("?") in str(caught.value)


@pytest.mark.parametrize("name", ["results/lr_by_sparsity", "lr_by_sparsity/"])
def test_the_folder_of_a_result_is_told_from_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^sweep=.*: is no sweep; did you mean lr_by_sparsity\?"):
        find_sweep(name)


def test_a_file_that_is_not_there_may_be_a_sweep_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"there is no such file; did you mean lr_by_sparsity, without an ending\?"):
        find_sweep("sweeps/stability/lr_by_sparsity.yaml")


@pytest.mark.parametrize("name", ["*", "/tmp/lr_by_sparsity", ""])
def test_a_name_is_no_pattern_and_no_path(name: str) -> None:
    with pytest.raises(InputError, match=r"^sweep=.*is no sweep"):
        find_sweep(name)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param("cost:", "costs:", r"^sweep=.* costs: unknown field; did you mean cost\?", id="unknown field"),
        pytest.param("cost:", "zzz:", r"^sweep=.* zzz: unknown field; there are question, expected", id="far field"),
        pytest.param("cost:", "name: mine\ncost:", r" name: unknown field; its name is that of the file", id="name"),
        pytest.param("cost:", "seed: 0\ncost:", r" seed: unknown field", id="key outside of grids"),
        pytest.param("question: Does", "quest: Does", r" quest: unknown field; did you mean question", id="question"),
        pytest.param("cost: a second", "cost: 3", r"^sweep=.* cost: 3 is not text", id="cost is a number"),
        pytest.param(
            "cost: a second", "cost: a\ncost: b", r"not plain YAML: .*cost stands there twice", id="field twice"
        ),
        pytest.param(
            "seed: [0]", "seed: [0]\n    seed: [1]", r"not plain YAML: .*seed stands there twice", id="axis twice"
        ),
        pytest.param("runs: 12", "runs: 13", r"^runs=13: .* expands to 12 runs", id="wrong number of runs"),
        pytest.param("runs: 12", "runs: many", r"sweep=.*runs", id="number of runs is a word"),
        pytest.param("seed: [0]", "seed: 0", r"^seed=0: .*neither a list nor log2", id="axis is a number"),
        pytest.param("seed: [0]", "seed: []", r"^seed=\[\]: ", id="axis is empty"),
        pytest.param("seed: [0]", "seed: [[0]]", r"^seed=", id="axis of lists"),
        pytest.param("{log2:", "{log3:", r"^hparams.learning_rate=.*log3", id="axis of another kind"),
        pytest.param("step: 1", "step: 0", r"^hparams.learning_rate=.*'step': 0", id="step of zero"),
        pytest.param("step: 1", "step: much", r"^hparams.learning_rate=.*much", id="step is a word"),
        pytest.param("first: -8", "first: low", r"^hparams.learning_rate=.*low", id="first is a word"),
        pytest.param(", step: 1", "", r"^hparams.learning_rate=", id="no step"),
        pytest.param("  - param", "    param", r"grids", id="grids is a mapping"),
        pytest.param("overrides: [target.width=32]", "overrides: 32", r"sweep=.*overrides", id="overrides is a number"),
        pytest.param("[target.width=32]", "target.width=32", r"sweep=.*overrides", id="overrides is a word"),
        pytest.param("overrides: [", "overrides: [[", r"is not plain YAML", id="no YAML"),
        pytest.param(
            "[target.width=32]", "[target.width]", r"^overrides=target.width: .* is no setting", id="no value"
        ),
        pytest.param("[target.width=32]", "[--multirun]", r"^overrides=--multirun: .* is no setting", id="flag"),
        pytest.param("[target.width=32]", "[sweep=other]", r"^overrides=sweep=other: .* names a sweep", id="sweep"),
        pytest.param(
            "[target.width=32]", "[seed=1, seed=2]", r"^overrides=seed=1: .* is given twice; keep one", id="word twice"
        ),
        pytest.param(
            "[target.width=32]", "[seed=1]", r"^overrides=seed=1: .* is an axis of every grid too", id="word and axis"
        ),
        pytest.param("first: -8", "first: -1e30", r"^hparams.learning_rate=2\^-1e\+30: .* is no number", id="endless"),
        pytest.param("last: -6", "last: 2000", r"^hparams.learning_rate=2\^2000: .* is no number", id="beyond floats"),
        pytest.param("step: 1}", "step: 1e-6}", r"^hparams.learning_rate=.* more than 100,000 values", id="tiny step"),
        pytest.param("step: 1}", "step: 1e-320}", r"^hparams.learning_rate=.* more than 100,000", id="tiniest step"),
        pytest.param("step: 1}", "step: 5e-5}", r"^grids=160,004 runs: .* are more than 100,000", id="too many runs"),
        pytest.param("seed: [0]", "seed: [0, .inf]", r"^seed=inf: .* is not finite", id="infinite value"),
        pytest.param(
            "seed: [0]",
            "random: {count: 1000000000, seed: 0, space: {hparams.init_std: {log2: {first: -1, last: 0}}}}",
            r"^grids=12,000,000,000 runs: .* are more than",
            id="too many random points",
        ),
        pytest.param(
            "seed: [0]",
            "random: {count: 2, seed: 0, space: {target.sparsity: {log2: {first: -1, last: 0}}}}",
            r"^target.sparsity=random: .* is an axis of the same grid too",
            id="random axis twice",
        ),
    ],
)
def test_a_wrong_sweep_file_is_refused_in_one_line(grid_file: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_sweep(str(changed(grid_file, old, new)))
    assert "\n" not in str(caught.value)


def test_what_is_expected_what_it_costs_and_the_number_of_runs_may_be_left_out(grid_file: Path) -> None:
    left_out = changed(grid_file, "expected: It does.\ncost: a second\noverrides: [target.width=32]\n", "")
    short = load_sweep(str(changed(left_out, "runs: 12\n", "")))
    assert (short.expected, short.cost, short.overrides, short.runs, short.count()) == ("", "", (), None, 12)
    assert short.claim is None


@pytest.mark.parametrize("name", shipped_sweeps())
def test_a_shipped_sweep_leaves_nothing_out(name: str) -> None:
    """And all but the coordinate checks, which have verdicts of their own, and ``quick`` test the paper's claims."""
    sweep = load_sweep(name)
    assert sweep.runs is not None
    assert min(len(text.split()) for text in (sweep.question, sweep.expected, sweep.cost)) > 5
    assert sweep.claim == (None if sweep.kind == "coordinates" or name == "quick" else "supar")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("claim: other", r"^claim=other: .* is unknown; there are supar"),
        ("kind: coordinates\nclaim: supar", r"^claim=supar: .* is not for kind coordinates"),
        ("reference: sp", r"^reference=sp: .* is for kind gain; leave it out"),
        ("swept: [init_std]", r"^swept=init_std: .* same value in all runs; grids need an axis hparams.init_std"),
        ("kind: contours\nswept: [learning_rate, init_std]", r"^swept=init_std: .* same value in all runs"),
    ],
)
def test_fields_that_would_do_nothing_are_refused(grid_file: Path, words: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_sweep(str(changed(grid_file, "overrides:", f"{words}\noverrides:")))


@pytest.mark.parametrize("content", ["[1, 2]", "grids: [1]", "just a sentence", ""])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "other.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"other\.yaml"):
        load_sweep("other.yaml")


def test_a_name_that_two_files_of_a_folder_have_is_refused(grid_file: Path, tmp_path: Path) -> None:
    for folder, name in (("a", "mine.yaml"), ("b", "mine.yml")):
        (tmp_path / "own" / folder).mkdir(parents=True)
        (tmp_path / "own" / folder / name).write_bytes(grid_file.read_bytes())
    with pytest.raises(
        InputError, match=r"^sweep=mine: is the name of .*a/mine\.yaml and .*b/mine\.yml; give the path"
    ):
        find_sweep("mine", str(tmp_path / "own"))
    (tmp_path / "own" / "a" / "mine.yaml").unlink()
    assert find_sweep("mine", str(tmp_path / "own")) == tmp_path / "own" / "b" / "mine.yml"
    with pytest.raises(InputError, match=r"^sweep=mien: is no sweep; did you mean mine\?"):
        find_sweep("mien", str(tmp_path / "own"))


def test_options_of_configuration_groups_are_no_sweeps(tmp_path: Path) -> None:
    (tmp_path / "own" / "model").mkdir(parents=True)
    (tmp_path / "own" / "model" / "lr_by_sparsity.yaml").write_text("width: 16\n", encoding="utf-8")
    assert find_sweep("lr_by_sparsity", str(tmp_path / "own")) == shipped_sweeps()["lr_by_sparsity"]


def test_a_missing_file_is_not_called_bad_yaml() -> None:
    with pytest.raises(InputError, match=r"^sweep=nowhere\.yaml: cannot be read: No such file") as caught:
        load_sweep("nowhere.yaml")
    assert "YAML:" not in str(caught.value)


def axis_of(key: str, values: str, composed: Callable[..., DictConfig], folder: Path) -> list[Any]:
    """Values of an axis, written as YAML, as the configuration takes them."""
    path = folder / "axis.yaml"
    path.write_text(f"question: Why?\nkind: search\ngrids:\n  - {key}: {values}\n", encoding="utf-8")
    sweep = typed(load_sweep(str(path)), composed("sweep", "sweep=axis"))
    return [point[key] for point in sweep.points()]


@pytest.mark.parametrize(
    ("key", "values", "taken"),
    [
        ("target.width", "{log2: {first: 5, last: 7, step: 1}}", [32, 64, 128]),
        ("target.width", "[null, 32.0]", [None, 32]),
        ("target.sparsity", "[0, 0.5]", [0.0, 0.5]),
        ("seed", '["3", 4]', [3, 4]),
        ("model.bias", "[true, false]", [True, False]),
        ("hparams.weight_decay", "[1e-3, 0]", [0.001, 0.0]),
    ],
)
def test_values_of_axes_become_what_the_configuration_takes(
    key: str, values: str, taken: list[Any], composed: Callable[..., DictConfig], tmp_path: Path
) -> None:
    converted = axis_of(key, values, composed, tmp_path)
    assert converted == taken
    assert list(map(type, converted)) == list(map(type, taken))


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("seed", "[0, 0.5]", r"^seed=0.5: is of a wrong type: .*Integer"),
        ("seed", "[one]", r"^seed=one: is of a wrong type"),
        ("seed", "[true]", r"^seed=True: is of a wrong type"),
        ("seed", "[null]", r"^seed=None: is of a wrong type"),
        ("target.width", "{log2: {first: 5, last: 6, step: 0.5}}", r"^target.width=45.25\d+: is of a wrong type"),
        ("model.bias", "[2]", r"^model.bias=2: is of a wrong type; true and false stand"),
        ("parametrization.name", "[true]", r"^parametrization.name=True: is of a wrong type"),
        ("target.sparsty", "[0.5]", r"^grids=target.sparsty: .* no key of the configuration; did you mean target.spa"),
        ("model", "[gpt, mlp]", r"^grids=model: .* a group of keys; take one of model.kind, model.width"),
        ("parametrization", "[sp, mup]", r"^grids=parametrization: .* take one of parametrization.name, or"),
        ("data.path", "[a, b]", r"^grids=data.path: .* the same in all of its runs; put it into overrides"),
        ("sparsity.backend", "[csr, masked]", r"^grids=sparsity.backend: .* the same in all of its runs"),
        ("workers", "[1, 2]", r"^grids=workers: .* the same in all of its runs"),
        ("tuned", "[a.yaml]", r"^grids=tuned: .* the same in all of its runs"),
    ],
)
def test_axes_that_no_run_can_have_are_refused_before_anything_is_trained(
    key: str, values: str, message: str, composed: Callable[..., DictConfig], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        axis_of(key, values, composed, tmp_path)
    assert "\n" not in str(caught.value)


def test_random_points_are_no_whole_numbers(composed: Callable[..., DictConfig], tmp_path: Path) -> None:
    space = "{count: 2, seed: 0, space: {target.width: {log2: {first: 4, last: 6}}}}"
    with pytest.raises(InputError, match=r"^target\.width=0\.5: is of a wrong type"):
        axis_of("random", space, composed, tmp_path)


def test_a_point_changes_its_keys_and_leaves_the_configuration_alone(composed: Callable[..., DictConfig]) -> None:
    config = composed("sweep", "sweep=x")
    run = at_point(config, {"parametrization.name": "sp", "target.sparsity": 0.5, "seed": 3})
    assert (run.parametrization.name, run.target.sparsity, run.seed) == ("sp", 0.5, 3)
    assert (config.parametrization.name, config.target.sparsity, config.seed) == ("smupar", 0.0, 0)
    with pytest.raises((ConfigAttributeError, ConfigKeyError), match="sparsty"):
        at_point(config, {"target.sparsty": 0.5})


def test_a_point_keeps_nothing_of_the_one_before_it(composed: Callable[..., DictConfig]) -> None:
    """One configuration serves all points, and what follows from another key goes on following from it."""
    config = composed("sweep", "sweep=x")
    points = Points(config, {"target.sparsity", "model.context", "budget.sequence_length"})
    first = points.at({"target.sparsity": 0.5, "model.context": 7})
    assert (first.target.sparsity, first.model.context) == (0.5, 7)
    second = points.at({"budget.sequence_length": 32})
    assert (second.target.sparsity, second.model.context) == (0.0, 32)
    assert points.at({}) == config == composed("sweep", "sweep=x")


@pytest.mark.parametrize(
    ("old", "new", "needles"),
    [
        pytest.param("target.sparsity", "target.sparsty", ["target.sparsty"], id="unknown axis"),
        pytest.param("seed: [0]", "seed: [one]", ["seed", "one"], id="axis of a wrong type"),
        pytest.param("[sp, smupar]", "[sp, spumar]", ["parametrization=spumar"], id="unknown parametrization"),
        pytest.param("[0.0, 0.5]", "[0.0, 1.5]", ["target.sparsity=1.5"], id="impossible sparsity"),
        pytest.param("target.width=32", "target.widht=32", ["target.widht", "target.width"], id="unknown override"),
        pytest.param("runs: 12", "runs: 13", ["runs=13", "12"], id="wrong number of runs"),
    ],
)
@pytest.mark.parametrize("command", ["sweep", "plan"])
def test_commands_refuse_a_wrong_sweep_and_write_nothing(
    smupar: Run, tiny: tuple[str, ...], grid_file: Path, command: str, old: str, new: str, needles: list[str]
) -> None:
    result = smupar(command, str(changed(grid_file, old, new)), *tiny)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert all(needle in result.stderr for needle in needles)
    assert not Path("results").exists()


@pytest.mark.parametrize("words", [(), ("target=wide_sparse", "target.width=64"), ("target.width=48",)])
def test_plan_and_sweep_mean_the_same_target(
    smupar: Run, data: tuple[str, ...], grid_file: Path, words: tuple[str, ...]
) -> None:
    """Without a sweep, ``plan`` is about a wide sparse target, and ``train`` about the proxy."""
    grid_file.write_text(grid_file.read_text().replace("overrides: [target.width=32]\n", ""), encoding="utf-8")
    printed = [smupar(command, str(grid_file), *words, "--cfg", "job").stdout for command in ("plan", "sweep")]
    targets = [re.findall(r"^target:\n(?:  .*\n)+", text, re.MULTILINE) for text in printed]
    assert targets[0] == targets[1]
    assert targets[0] == [
        f"target:\n  width: {words[-1][13:] if words else 'null'}\n"
        + ("  sparsity: 0.9375\n" if len(words) == 2 else "  sparsity: 0.0\n")
    ]


def test_what_a_person_sets_wins_over_the_sweeps_own_settings(
    smupar: Run, tiny: tuple[str, ...], grid_file: Path
) -> None:
    assert "target:\n  width: 32\n" in smupar("sweep", str(grid_file), "--cfg", "job").stdout
    assert "target:\n  width: 48\n" in smupar("sweep", str(grid_file), "target.width=48", "--cfg", "job").stdout
    own_group = changed(grid_file, "[target.width=32]", "[budget=demo, target.width=32]")
    assert "evaluations: 4\n" in smupar("plan", str(own_group), "--cfg", "job").stdout
    assert "evaluations: 8\n" in smupar("plan", str(own_group), "budget=short", "--cfg", "job").stdout


@pytest.mark.parametrize("flag", [["--config-dir", "own"], ["--config-dir=own"], ["-cd", "own"]])
def test_own_sweeps_and_own_options_by_config_dir(
    smupar: Run, data: tuple[str, ...], grid_file: Path, tmp_path: Path, flag: list[str]
) -> None:
    (tmp_path / "own" / "model").mkdir(parents=True)
    option = "defaults: [gpt, _self_]\nwidth: 16\nhead_dim: 8\ndepth: 1\n"
    (tmp_path / "own" / "model" / "tiny.yaml").write_text(option, encoding="utf-8")
    changed(grid_file, "[target.width=32]", "[model=tiny, target.width=32]").rename(tmp_path / "own" / "mine.yaml")
    result = smupar("sweep", "mine", *data, *flag, "--cfg", "job")
    assert (result.returncode, result.stderr) == (0, "")
    assert "  width: 16\n  depth: 1\n  head_dim: 8\n" in result.stdout


def test_flags_may_stand_between_the_name_and_the_keys(
    smupar: Run, tiny: tuple[str, ...], grid_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    grid_file.rename(tmp_path / "own" / "mine.yaml")
    result = smupar("plan", "mine", "--config-dir", "own", *tiny)
    assert result.returncode == 0, result.stderr
    assert "12 runs, 0 of them exist" in result.stdout


def expands(depth: int) -> str:
    """A sweep whose grid stands for 9 ** depth values, in a few lines."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{index}: &a{index} [{', '.join([f'*a{index - 1}'] * 9)}]" for index in range(1, depth)]
    return "\n".join(lines)


BROKEN = {
    "no whole number": ("runs: !!int many", "line 1: 'many' is no int"),
    "no timestamp": ("runs: !!timestamp x", "line 1: 'x' is no timestamp"),
    "5,000 digits": (f"runs: {'9' * 5000}", "a whole number of 5,000 digits"),
    "deep nesting": (f"grids: {'[' * 5000}{']' * 5000}", "nested too deeply"),
    "aliases": (expands(10), "aliases stand for more than 100,000 values"),
    "itself inside": ("grids: &a [*a]", "a value contains itself"),
    "a key twice": ("runs: 1\nruns: 2", "line 2: runs stands there twice"),
    "an unknown reference": ("runs: ${nothing}", "Interpolation key 'nothing' not found"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_whatever_is_in_a_file_is_told_in_one_short_line(tmp_path: Path, name: str) -> None:
    """Some of these ended in a traceback, and aliases took all memory."""
    content, says = BROKEN[name]
    (tmp_path / "broken.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"^sweep=broken\.yaml: is not ") as caught:
        load_sweep("broken.yaml")
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("key", ["step", "first", "last"])
def test_a_number_beyond_those_of_a_float_is_no_step(grid_file: Path, key: str) -> None:
    """``math.isfinite`` cannot say whether it is finite. YAML takes no such number; configurations of Python do."""
    content = OmegaConf.to_container(OmegaConf.load(grid_file))
    assert isinstance(content, dict)
    content["grids"][0]["hparams.learning_rate"]["log2"][key] = 10**400
    with pytest.raises(InputError, match=r"^hparams\.learning_rate="):
        parse_grids(content["grids"], grid_file)


def test_a_name_that_is_a_file_is_told_apart_from_a_slip(results: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for name, says in [
        ("notes.txt", "is no sweep file; the name of one ends in .yaml"),
        ("results/train/records.jsonl", "is the records of finished runs, not a sweep file"),
        ("results/proxy/study.db", "is the database of a study, not a sweep file; give tuned=results/proxy/tuned.yaml"),
        ("results/proxy/tuned.yaml", "is a tuned point, not a sweep file; run: smupar transfer tuned=results/proxy"),
        ("results/recipe.yaml", "is a recipe, not a sweep file; run: smupar train recipe=results/recipe.yaml"),
        ("results/grid", "is a folder, not a sweep file; give the name of its sweep: grid"),
        ("results", "is a folder, not a sweep file"),
        ("xyzzy", "is no sweep; there are ablations, "),
    ]:
        with pytest.raises(InputError, match=f"^sweep={name}: {says}"):
            load_sweep(name)
