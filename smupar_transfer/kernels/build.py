"""Building and loading the C++ kernels, once per machine, compiler and version of PyTorch."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from filelock import FileLock

from smupar_transfer.kernels.cache import make_private, refuse_strangers, user_cache
from smupar_transfer.kernels.operators import register_operators

KERNELS = Path(__file__).parent / "cpp"
LIBRARY = "smupar_native"
FLAGS_VARIABLE = "SMUPAR_NATIVE_FLAGS"


class NotBuiltError(RuntimeError):
    """The kernels cannot be built or loaded here; the message says why in one line."""


@functools.cache
def native_problem() -> str | None:
    """Why the kernels are not loaded, in one line; None if they are.

    Builds them if this machine has not done so before, which takes a while.
    """
    try:
        load_kernels()
    except NotBuiltError as error:
        return str(error)
    return None


@functools.cache
def native_is_available() -> bool:
    """Whether the kernels are loaded; see ``native_problem``.

    If they cannot be, one warning a process says why and that the ``csr`` backend computes instead.
    """
    problem = native_problem()
    if problem is not None:
        warnings.warn(f"sparsity.backend=native: {problem}; computing with csr, which is slower", stacklevel=2)
    return problem is None


@functools.cache
def machine_key(*, kernels: bool, blocking: str = "") -> str:
    """Names what the speed of a layer depends on: processor, PyTorch and, if wanted and built, the kernels.

    Args:
        kernels: Whether the kernels compute, if they can be built.
        blocking: How products are cut up for them, in any words that change when it does.
    """
    parts = [_processor(), torch.__version__]
    if kernels and native_problem() is None:
        parts += [_library()[0].parent.name, blocking]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def load_kernels() -> None:
    """Load the kernels as ``torch.ops.smupar_native``, building them into the user's cache if they are not there.

    A library in the cache that cannot be loaded, a damaged one, is built anew.

    Raises:
        NotBuiltError: there is no compiler, the build failed, or the cache cannot be written.
    """
    try:
        library, flags = _library()
        make_private(library.parent)
        refuse_strangers(library.parent)
        # Processes that start together wait for one build. The lock goes with its holder, unlike that of cpp_extension.
        with FileLock(library.with_name("building")):
            if library.exists():
                refuse_strangers(library)
            if not (library.exists() and _loads(library)):
                library.unlink(missing_ok=True)
                _build(library, flags)
        torch.ops.load_library(library)  # type: ignore[no-untyped-call]
        register_operators()
    except (OSError, ImportError, RuntimeError, subprocess.SubprocessError) as error:
        raise NotBuiltError(f"the C++ kernels cannot be built or loaded ({_reason(error)})") from error


def _library() -> tuple[Path, list[str]]:
    """Where the kernels of this machine belong, and what they are compiled with."""
    where, version = _compiler_found()
    flags = compiler_flags(version)
    return cache_folder() / _key(f"{where} {version}", flags) / f"{LIBRARY}.so", flags


def _loads(library: Path) -> bool:
    try:
        torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except (OSError, RuntimeError):
        return False
    return True


def cache_folder() -> Path:
    """Where the kernels are kept, below ``user_cache``."""
    return user_cache() / "native"


def compiler_flags(version: str) -> list[str]:
    """What the kernels are compiled with. ``SMUPAR_NATIVE_FLAGS`` takes the place of ``-march=native``.

    For instance ``-march=x86-64-v3`` (AVX2) for a cluster whose nodes differ.

    Args:
        version: What the compiler says of itself.
    """
    return ["-O3", *shlex.split(os.environ.get(FLAGS_VARIABLE, "-march=native")), *_openmp(version)]


def _openmp(version: str) -> list[str]:
    # Compiled in but not linked: the runtime that PyTorch has loaded serves, so that torch.set_num_threads holds. Where
    # PyTorch uses another one than GNU's (macOS, say), or the compiler calls another one (clang, by whatever name), its
    # symbols are missing, and one thread computes.
    gnu = platform.system() == "Linux" and "clang" not in version
    return ["-fopenmp"] if gnu else []


def _compiler() -> str:
    return os.environ.get("CXX", "c++")  # as cpp_extension chooses


def _compiler_found() -> tuple[str, str]:
    """Where the compiler is, and what it says of itself."""
    command = shlex.split(_compiler())
    where = shutil.which(command[0]) if command else None
    if where is None:
        raise FileNotFoundError(f"there is no C++ compiler {_compiler()}; CXX may name one")
    result = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    return where, result.stdout


def _key(compiler: str, flags: list[str]) -> str:
    """Everything that a library depends on: a build for another processor would die of an illegal instruction."""
    parts = [_processor(), torch.__version__, compiler, *flags]
    sources = [part for path in sorted(KERNELS.iterdir()) for part in (path.name, path.read_text(encoding="utf-8"))]
    return hashlib.sha256("\n".join([*parts, *sources]).encode()).hexdigest()[:20]


def _processor() -> str:
    """Model and instruction sets, without what changes from core to core or minute to minute."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    fields = {line.partition(":")[0].strip(): line for line in lines}
    wanted = ("model name", "flags", "CPU implementer", "CPU part", "Features")
    return "\n".join([platform.machine(), *(fields[name] for name in wanted if name in fields)])


def _build(library: Path, flags: list[str]) -> None:
    # Imported only here: it takes long, and needs setuptools.
    from torch.utils import cpp_extension

    print("smupar: building the compute kernels, once on this machine (a minute) ...", file=sys.stderr, flush=True)
    # Built aside and moved when it is whole: a build that is killed leaves no half library.
    with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
        cpp_extension.load(
            LIBRARY,
            [str(path) for path in sorted(KERNELS.glob("*.cpp"))],
            extra_cflags=flags,
            build_directory=scratch,
            is_python_module=False,
        )
        built = Path(scratch) / library.name
        built.chmod(0o700)  # whatever the umask: what others may write is not loaded
        built.replace(library)


def _reason(error: BaseException) -> str:
    """The line of a build's output that tells most: the first that speaks of an error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line]
    return (telling or lines or [type(error).__name__])[0]
