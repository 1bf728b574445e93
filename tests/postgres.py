"""Debian's PostgreSQL on loopback, in a folder of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from servers import free_port

PASSWORD = "of-the-tests-only"
USER = "postgres"
FASTER = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")  # nothing of it has to survive


def tool(name: str) -> str:
    """The path of a tool of the newest PostgreSQL here; Debian keeps them outside PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    path = str(found[-1]) if found else shutil.which(name)
    assert path, f"{name} is missing: apt-get install postgresql"
    return path


class Postgres:
    """A server of databases; it ends with the process that starts it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="roadseg-postgres-"))  # below pytest's own its user may not look
        self.port = free_port()
        (self.folder / "password").write_text(PASSWORD)
        if os.getuid() == 0:
            for path in (self.folder, self.folder / "password"):
                shutil.chown(path, USER, USER)
        self._run("initdb", "-D", f"{self.folder}/data", "-U", USER, "-A", "scram-sha-256", "--no-sync",
                  f"--pwfile={self.folder}/password", "-E", "UTF8", "--locale=C.UTF-8").wait()  # fmt: skip
        self.start()

    def start(self) -> None:
        options = ["listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}", *FASTER]
        settings = [word for option in options for word in ("-c", option)]
        self.process = self._run("postgres", "-D", f"{self.folder}/data", "-p", str(self.port), *settings)
        while True:
            try:
                self.execute("select 1")
                return
            except psycopg.OperationalError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.05)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)  # at SIGTERM it would wait for its clients
        self.process.wait()
        shutil.rmtree(self.folder)

    def execute(self, statement: str, database: str = "postgres", values: tuple[Any, ...] = ()) -> list[Any]:
        address = self.address("postgresql", database)
        with psycopg.connect(address, autocommit=True, connect_timeout=5) as connection:
            done = connection.execute(statement.encode(), values)
            return done.fetchall() if done.description else []

    def make(self, *databases: str) -> None:
        for name in databases:
            self.execute(f'create database "{name}"')

    def address(self, scheme: str, database: str) -> str:
        return f"{scheme}://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def _run(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        become = ["--reuid", USER, "--regid", USER, "--clear-groups"] if os.getuid() == 0 else []
        command = ["setpriv", *become, "--pdeathsig", "INT", tool(name), *arguments]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
