"""What a pool of Docker or Kubernetes starts for a run: `python -m flows.services.job`.

It makes a checkout of the team's repository in home, which is a volume, tells DVC where its cache and its remote are,
and becomes the engine of that checkout. An image has code and no data; what a run works on comes from the repository.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from flows.ready import make_ready
from flows.services.container import set_remote
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import home
from roadseg.workspace.revision import remember_served

LOGINS_VARIABLE, REPOSITORY_VARIABLE = "ROADSEG_LOGINS", "ROADSEG_REPOSITORY"


def main() -> None:
    """Become the engine of a run, in a checkout that is like the repository."""
    os.environ |= logins(os.environ.get(LOGINS_VARIABLE, ""))
    make_ready()
    cache = Path.cwd() / ".dvc/cache"  # the image's, and so the volume's
    try:
        checkout = make_checkout(os.environ.get(REPOSITORY_VARIABLE, ""))
    except UsageError as error:
        sys.exit(f"error: {error}")
    set_remote(os.environ.get("ROADSEG_DVC_REMOTE", ""))
    subprocess.run(["dvc", "cache", "dir", "--quiet", "--local", str(cache)], cwd=checkout, check=True)
    remember_served(checkout)
    os.chdir(checkout)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(checkout), str(checkout / "src")])
    os.execv(sys.executable, [sys.executable, "-m", "flows.services.engine"])


def logins(name: str) -> dict[str, str]:
    """Variables of a file with NAME=VALUE in each line; none where no file is named.

    Docker mounts such a file; of Kubernetes' Secret the keys are variables already.
    """
    lines = Path(name).read_text(encoding="utf-8").splitlines() if name else []
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


def make_checkout(repository: str) -> Path:
    """A clone in home that is like the repository, unless another run has its code from there at this moment.

    Raises:
        UsageError: none is named, or git cannot get it; the address is not said, for a token may be in it.
    """
    if not repository:
        raise UsageError(
            f"{REPOSITORY_VARIABLE} is not set: name the repository of the team in the file or the Secret of logins"
        )
    checkout = home() / "checkout"
    home().mkdir(parents=True, exist_ok=True)
    lock = os.open(home() / "checkout.lock", os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(lock, True)  # the engine holds it until it ends
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(lock, fcntl.LOCK_SH)
        return checkout
    try:
        _follow(repository, checkout, home() / "checkout.new")
    except UsageError:
        os.close(lock)
        raise
    fcntl.flock(lock, fcntl.LOCK_SH)
    return checkout


def _follow(repository: str, checkout: Path, fresh: Path) -> None:
    def git(folder: Path, *arguments: str) -> None:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1].replace(repository, "it")
            raise UsageError(f"git {arguments[0]} of {REPOSITORY_VARIABLE} failed ({said}): correct its address or key")

    if not checkout.exists():
        shutil.rmtree(fresh, ignore_errors=True)  # of a job that was killed
        git(home(), "clone", "--quiet", repository, str(fresh))
        fresh.rename(checkout)
    git(checkout, "remote", "set-url", "origin", repository)  # its token may be a new one
    git(checkout, "fetch", "--quiet", "origin")
    git(checkout, "reset", "--quiet", "--hard", "@{upstream}")


if __name__ == "__main__":
    main()
