"""Kernels are built once, for one machine; without a compiler there is one warning, and ``csr`` computes."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from smupar_transfer.kernels import build
from smupar_transfer.sparsity import SparseLinear, computing_backend, named_generator
from smupar_transfer.sparsity.backends.csr import CsrBackend

PROGRAM = """
import torch
from smupar_transfer.sparsity import make_backend
mask = torch.rand(37, 70, generator=torch.Generator().manual_seed(0)) < 0.3
backend = make_backend("native", mask)
assert type(backend).__name__ == "NativeBackend"
weight, inputs, upstream = mask * torch.randn(37, 70), torch.randn(45, 70, requires_grad=True), torch.randn(45, 37)
values = backend.pack(weight).requires_grad_()
output = backend.linear(inputs, values, None)
output.backward(upstream)
torch.testing.assert_close(output, inputs @ weight.T)
torch.testing.assert_close(inputs.grad, upstream @ weight)
torch.testing.assert_close(values.grad, (upstream.T @ inputs)[mask])
print(torch.ops.smupar_native.lanes())
"""


@pytest.fixture
def nothing_loaded() -> Iterator[None]:
    """As in a fresh process: what was found out about the machine is forgotten, before and after."""
    answers = (build.native_problem, build.native_is_available, build.machine_key)
    for answer in answers:
        answer.cache_clear()
    yield
    for answer in answers:
        answer.cache_clear()


def layer() -> SparseLinear:
    made = SparseLinear(20, 12, density=0.3, backend="native")
    made.draw_mask(named_generator(0, "mask", "w"))
    made.set_weight(torch.ones(12, 20))
    return made


@pytest.mark.usefixtures("nothing_loaded")
def test_without_a_compiler_csr_computes_after_one_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    message = r"sparsity\.backend=native: .*there is no C\+\+ compiler c\+\+; CXX may name one.*; computing with csr"
    with pytest.warns(UserWarning, match=message) as caught:
        modules = [layer(), layer()]
    assert len(caught) == 1
    assert all(isinstance(module.backend, CsrBackend) for module in modules)
    assert computing_backend("native") == "csr"
    assert modules[0](torch.ones(2, 20)).shape == (2, 12)


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param("exit 1", "returned non-zero exit status 1", id="fails"),
        pytest.param(
            'if [ "$1" = --version ]; then echo made up; else echo "x.cpp:1: error: no such thing" >&2; exit 1; fi',
            r"x\.cpp:1: error: no such thing",
            id="cannot compile",
        ),
    ],
)
def test_a_compiler_that_fails_is_quoted_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, reason: str
) -> None:
    compiler = tmp_path / "c++"
    compiler.write_text(f"#!/bin/sh\n{script}\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.warns(UserWarning, match=reason) as caught:
        assert computing_backend("native") == "csr"
    assert "\n" not in str(caught[0].message)
    assert list(tmp_path.rglob("*.so")) == []


@pytest.mark.usefixtures("nothing_loaded", "needs_compiler")
def test_a_cache_that_cannot_be_written_is_no_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="computing with csr"):
        assert computing_backend("native") == "csr"


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.cache_folder() == tmp_path / "smupar_transfer" / "native"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert build.cache_folder() == tmp_path / "home" / ".cache" / "smupar_transfer" / "native"


@pytest.mark.usefixtures("needs_compiler")
def test_what_is_built_is_not_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    build.load_kernels()

    def fail(library: Path, flags: list[str]) -> None:
        raise AssertionError(f"{library} was built again with {flags}")

    monkeypatch.setattr(build, "_build", fail)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build.load_kernels()


@pytest.mark.usefixtures("needs_compiler")
def test_a_damaged_library_is_built_anew_and_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    build.load_kernels()
    good = build._library()[0].resolve()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    library, built = build._library()[0], list[Path]()
    library.parent.mkdir(parents=True)

    def mend(library: Path, flags: list[str]) -> None:
        built.append(library)
        library.symlink_to(good)  # another copy cannot be loaded into one process

    monkeypatch.setattr(build, "_build", mend)
    library.write_bytes(b"garbage")
    build.load_kernels()
    build.load_kernels()
    assert built == [library]
    monkeypatch.setattr(build, "_build", lambda library, flags: library.write_bytes(b"more garbage"))
    library.unlink()
    library.write_bytes(b"garbage")
    with pytest.raises(build.NotBuiltError, match="cannot be built or loaded"):
        build.load_kernels()


def test_a_compiler_is_known_by_what_it_says_not_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What clang would call is not GNU's OpenMP; kernels of it run on one thread."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    with_openmp = []
    for says in ("c++ (Debian 12.2.0-14) 12.2.0", "Debian clang version 14.0.6"):
        compiler = tmp_path / "clang" / "c++"
        compiler.parent.mkdir(exist_ok=True)
        compiler.write_text(f"#!/bin/sh\necho '{says}'\n")
        compiler.chmod(0o755)
        monkeypatch.setenv("CXX", str(compiler))
        with_openmp.append("-fopenmp" in build._library()[1])
    assert with_openmp == [True, False]


def test_a_library_is_used_only_where_it_was_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Everything that a library depends on is in the name of its folder."""

    def key() -> str:
        return build._key("compiler 1", build.compiler_flags("gcc"))

    keys = {key()}
    assert {key()} == keys
    keys.add(build._key("compiler 2", build.compiler_flags("gcc")))
    with monkeypatch.context() as patch:
        patch.setattr(build, "_processor", lambda: "another")
        keys.add(key())
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "9.9")
        keys.add(key())
    with monkeypatch.context() as patch:
        patch.setenv(build.FLAGS_VARIABLE, "-march=x86-64")
        keys.add(key())
    (tmp_path / "kernel.h").write_text("// other")
    with monkeypatch.context() as patch:
        patch.setattr(build, "KERNELS", tmp_path)
        keys.add(key())
    assert len(keys) == 6


def test_the_processor_is_the_same_on_every_core_at_any_time() -> None:
    assert build._processor() == build._processor()
    assert "MHz" not in build._processor()


@pytest.mark.usefixtures("needs_compiler")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the instruction sets are those of x86-64")
@pytest.mark.parametrize(("flags", "lanes"), [("-march=x86-64", 4), ("-march=x86-64-v3", 8)])
def test_narrower_vectors_compute_the_same(flags: str, lanes: int) -> None:
    """What other processors run. The builds stay in the cache, for the next time."""
    if lanes == 8 and " avx2 " not in build._processor():
        pytest.skip("the processor lacks AVX2")
    environment = {**os.environ, build.FLAGS_VARIABLE: flags}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) == lanes
