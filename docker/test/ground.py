"""What the stack's images stand on where no registry can be asked: a base from Debian's packages, and stand-ins."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SUITE = "bookworm"
PACKAGES = "ca-certificates,python3,python3-venv"
BASE = f"roadseg-test-base:{SUITE}"
STAND_INS = {"DATABASE": "database", "STORE": "store", "PROXY": "proxy"}
TRUSTED = "/etc/ssl/certs/ca-certificates.crt"
NEEDED = ("docker", "debootstrap", "tar")


def missing() -> list[str]:
    """What this machine lacks for the test, in words."""
    lacks = [f"{tool} is not installed" for tool in NEEDED if not shutil.which(tool)]
    if not lacks and subprocess.run(["docker", "info"], capture_output=True).returncode:
        lacks.append("no engine answers `docker info`")
    if os.geteuid():
        lacks.append("debootstrap wants root")
    return lacks


def make_base() -> None:
    """Make the base where there is none. It trusts whom this machine trusts, since a proxy may stand before PyPI."""
    if subprocess.run(["docker", "image", "inspect", BASE], capture_output=True).returncode == 0:
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root))
        shutil.copy(TRUSTED, root / TRUSTED.lstrip("/"))
        for left in [*root.glob("var/cache/apt/archives/*.deb"), *root.glob("var/lib/apt/lists/*_*")]:
            left.unlink()
        trust = f"ENV SSL_CERT_FILE={TRUSTED} PIP_CERT={TRUSTED}"
        packed = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
        subprocess.run(["docker", "import", "--change", trust, "-", BASE], stdin=packed.stdout, check=True)
        if packed.wait():
            raise SystemExit("tar failed")


def make_stand_ins(tree: Path) -> dict[str, str]:
    """Build the images for database, store and proxy; their names by build argument."""
    made = {"BASE": BASE}
    for argument, target in STAND_INS.items():
        name = made[argument] = f"roadseg-test-{target}"
        where = ["--file", "docker/test/Dockerfile", "--target", target, "--tag", name]
        run("docker", "build", "--network", "host", "--build-arg", f"BASE={BASE}", *where, ".", cwd=tree)
    return made


def run(*command: str, cwd: Path | None = None) -> None:
    """Run a command to its end; what it says is shown where it fails."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=CLASSIC)
    if done.returncode:
        raise SystemExit(f"`{' '.join(command[:4])}` failed:\n{done.stdout.decode(errors='replace')[-4000:]}")


CLASSIC = {**os.environ, "DOCKER_BUILDKIT": "0"}  # BuildKit's plugin may be missing, and all must build without
