"""Keep what TensorFlow says of itself at each start out of the logs; what it warns of stays."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType

# the words of its two informations, and what its logging library says before the first of them
CHATTER = "^(WARNING: All log messages before absl::InitializeLog|I0000 |To enable the following instructions: )"


def hush() -> None:
    """Filter what TensorFlow says while it is imported; `TF_CPP_MIN_LOG_LEVEL=0` shows all."""
    there = any(isinstance(finder, _TensorFlow) for finder in sys.meta_path)
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0") != "0" and not there:
        sys.meta_path.insert(0, _TensorFlow())


class _TensorFlow:
    """Finds TensorFlow with a loader that filters: its variable does not reach these lines."""

    _asks_others = False

    def find_spec(self, name: str, _: Sequence[str] | None = None, __: ModuleType | None = None) -> ModuleSpec | None:
        if name != "tensorflow" or self._asks_others:
            return None
        self._asks_others = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._asks_others = False
        if spec and spec.loader:
            load = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                with _without(CHATTER):
                    load(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


@contextmanager
def _without(pattern: str) -> Iterator[None]:
    """Filter the process's stderr in a process of its own, so that the last words of a crash come through."""
    kept = os.dup(2)
    try:
        command = ["grep", "--line-buffered", "--extended-regexp", "--invert-match", pattern]
        grep = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=kept)
    except OSError:  # no grep, no filter
        os.close(kept)
        yield
        return
    assert grep.stdin
    os.dup2(grep.stdin.fileno(), 2)
    grep.stdin.close()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)  # closes the last end of the pipe, so that grep ends
        os.close(kept)
        grep.wait()
