"""A real Keycloak, a process of the current user on the loopback address, with a database in a temporary folder.

It runs in production mode, not in `start-dev`: the one that operators meet.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import keycloak_binaries, keycloak_keeper, keycloak_tools
from tests.cluster.folder import temporary_folder
from tests.cluster.keycloak_admin import AdminApi, Administrator, ServiceAccount, bootstrap
from tests.cluster.keycloak_home import make_home, start_command
from tests.cluster.keycloak_tools import KeycloakError
from tests.cluster.plane import to_stderr
from tests.cluster.processes import Supervised, supervised
from tests.cluster.supervisor import tail
from tests.cluster.waiting import wait_until


@dataclass(frozen=True, slots=True)
class Keycloak:
    """A Keycloak that can be taken down and brought back. Everything below `folder` goes away at the end."""

    port: int
    management_port: int
    admin: Administrator
    service_account: ServiceAccount
    folder: Path
    _processes: Supervised

    @property
    def url(self) -> str:
        """Return the address that realms and the Admin API are below."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def management_url(self) -> str:
        """Return the address that `/health` is below."""
        return f"http://127.0.0.1:{self.management_port}"

    @property
    def api(self) -> AdminApi:
        """Return a way to do everything in it, past whatever is under test."""
        return AdminApi(self.url, self.service_account.grant)

    @property
    def pids(self) -> dict[str, int]:
        """Return the PID of the keeper, and of Keycloak itself while it runs."""
        pid_file = self._pid_file
        running = {"keycloak": int(pid_file.read_text())} if pid_file.exists() else {}
        return {"keeper": self._processes.pids["keycloak"], **running}

    def stop(self) -> None:
        """Take it down: connections are refused, and nobody else gets its port. Does nothing if it is down."""
        self._signal(signal.SIGUSR1)
        wait_until(self._down, "Keycloak is down", details=self.log)

    def start(self) -> None:
        """Bring it back with the same address and data, and wait until it is ready. Does nothing if it is up."""
        self._signal(signal.SIGUSR2)
        self.wait_until_ready()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Take it down for the length of a block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def wait_until_ready(self) -> None:
        """Return when it answers; raise ControlPlaneError with the end of its log if it does not."""
        try:
            wait_until(self._ready, "Keycloak is ready", details=self.log)
        except TimeoutError as error:
            raise KeycloakError(str(error)) from error

    def log(self) -> str:
        """Return the end of its log."""
        return tail(self.folder / "keycloak.log")

    @property
    def _pid_file(self) -> Path:
        return self.folder / keycloak_keeper.PID_FILE

    def _signal(self, number: int) -> None:
        self._processes.check()
        os.kill(self._processes.pids["keycloak"], number)

    def _down(self) -> bool:
        self._processes.check()
        return not self._pid_file.exists()

    def _ready(self) -> bool:
        self._processes.check()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", "/realms/master")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@contextmanager
def keycloak(say: Callable[[str], None] = to_stderr, *, wait: bool = True) -> Iterator[Keycloak]:
    """Yield a ready Keycloak; it is gone when the block ends or when this process does, however that happens.

    Without *wait* it is yielded while it starts, so that something else can start meanwhile: `wait_until_ready` is left
    to the caller. Raises ControlPlaneError with the end of the log, also if Keycloak ended meanwhile by itself.
    """
    built = keycloak_binaries.locate(say)
    admin, service_account = Administrator(), ServiceAccount()
    with temporary_folder() as (folder, lock), ExitStack() as ports:
        port, management_port = (ports.enter_context(_reserved_port()) for _ in range(2))
        _write_order(folder / "order.json", built, port, management_port, bootstrap(admin, service_account))
        keeper = [sys.executable, "-I", "-S", keycloak_keeper.__file__, "order.json"]
        with supervised({"keycloak": keeper}, folder, lock) as processes:
            server = Keycloak(port, management_port, admin, service_account, folder, processes)
            # Until then the keeper would not understand what it is asked for.
            wait_until(server._pid_file.exists, "Keycloak's process has started", details=server.log)
            if wait:
                server.wait_until_ready()
            yield server


def _write_order(path: Path, built: Path, port: int, management_port: int, accounts: Mapping[str, str]) -> None:
    """Write what the keeper is to run; not its command line, which everybody on the machine can read."""
    home = path.parent / "home"
    make_home(built, home)
    environ = keycloak_binaries.clean(os.environ, keycloak_tools.java(os.environ))
    command = start_command(home, port, management_port, environ)
    path.touch(mode=0o600)
    path.write_text(json.dumps({"command": command, "environ": {**environ, **accounts}}))


@contextmanager
def _reserved_port() -> Iterator[int]:
    """Yield a port that nobody else gets, also while Keycloak is down.

    The socket never listens: on Linux another one, with the same option, may then listen on its address.
    """
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind(("127.0.0.1", 0))
        yield reservation.getsockname()[1]
