"""Starting a node, in the right order, and using it."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import images
from tests.cluster.api import Api
from tests.cluster.certificates import Certificates
from tests.cluster.cluster import Cluster
from tests.cluster.images import Image
from tests.cluster.node import leftovers, network, objects, programs, servers
from tests.cluster.node.configuration import DNS_READY_PORT, NODE_NAME, write_configuration
from tests.cluster.node.identities import PORT, write_identities
from tests.cluster.node.inside import LOGS
from tests.cluster.node.keeping import Keeper, kept
from tests.cluster.node.programs import NodeError
from tests.cluster.node.slots import Slot
from tests.cluster.supervisor import tail
from tests.cluster.waiting import wait_until


def to_stderr(line: str) -> None:
    """Show one line of progress."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@dataclass(frozen=True, slots=True)
class Node:
    """A running node. `kubeconfig` is the administrator's; everything below `folder` goes away at the end."""

    slot: Slot
    folder: Path
    programs: programs.Programs

    @property
    def url(self) -> str:
        """Return the address of its API server."""
        return f"https://{self.slot.address}:{PORT}"

    @property
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    @property
    def cluster(self) -> Cluster:
        """Return what it is to whoever does not care where it runs."""
        return Cluster(self.kubeconfig, self.programs.kubectl, volumes=self.folder / objects.VOLUMES)

    def log(self, server: str) -> str:
        """Return the end of the log of one of its servers."""
        return tail(self.folder / LOGS / f"{server}.log")

    def logs(self) -> str:
        """Return the ends of the logs of all its servers."""
        names = sorted(path.stem for path in (self.folder / LOGS).glob("*.log"))
        return "\n".join(f"{name}:\n{self.log(name)}" for name in names)

    def import_archive(self, archive: Path) -> None:
        """Give its container runtime the images in *archive*, a file of the format ``docker-archive``."""
        socket = self.folder / servers.runtime_socket()
        command = ["ctr", f"--address={socket}", "--namespace=k8s.io", "images", "import", str(archive)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NodeError(f"{archive} is not imported: exit code {done.returncode}\n{done.stderr}")


def load(running: Node, image: Image, say: Callable[[str], None] = to_stderr) -> None:
    """Give *running* an image, making it if need be."""
    archive = images.archive(image, say)
    say(f"node: importing {image}")
    running.import_archive(archive)


@contextmanager
def node(say: Callable[[str], None] = to_stderr) -> Iterator[Node]:
    """Yield a node that is Ready; all of it is gone when the block ends or this process does, however that happens.

    Raises NodeError with the ends of the logs that tell why there is none.
    """
    with starting_node(say) as (running, _):
        yield running


@contextmanager
def starting_node(say: Callable[[str], None]) -> Iterator[tuple[Node, Keeper]]:
    """Yield a node that is Ready, and its keeper, which can be told that the node stays when the block ends."""
    built = programs.locate(say)
    sandbox = images.archive(images.SANDBOX, say)
    leftovers.remove_abandoned()
    slot, lock = leftovers.free_slot()
    try:
        with lock:
            running = Node(slot, leftovers.make_folder(slot), built)
            files = _prepare(running)
            with kept(running.folder, slot, lock.fileno(), built) as keeper:
                lock.close()  # the keeper has it now
                _start(running, keeper, Api(slot.address, PORT, files), sandbox, say)
                yield running, keeper
    finally:
        if not leftovers.stays(slot):
            network.disconnect(slot)
            leftovers.remove_abandoned()


def _prepare(running: Node) -> Certificates:
    write_configuration(running.folder, running.slot)
    objects.make_volumes(running.folder)
    return write_identities(running.folder, running.slot)


def _start(running: Node, keeper: Keeper, api: Api, sandbox: Path, say: Callable[[str], None]) -> None:
    def wait(condition: Callable[[], object], what: str) -> None:
        def checked() -> object:
            keeper.check()
            return condition()

        try:
            wait_until(checked, what, details=running.logs)
        except TimeoutError as error:
            raise NodeError(str(error)) from error

    network.connect(running.slot, keeper.pid)
    keeper.start(servers.first(running.slot))
    wait(api.is_ready, "the API server is ready")
    wait((running.folder / servers.runtime_socket()).exists, "containerd listens")
    say(f"node: {running.url} is ready")
    keeper.start(servers.second(running.slot))
    running.import_archive(sandbox)
    objects.create_objects(api)
    wait(lambda: _is_ready(api), "the node is Ready")
    wait(lambda: _dns_answers(running.slot), "DNS answers")
    # Without it no pod is let in.
    wait(lambda: api.get("/api/v1/namespaces/default/serviceaccounts/default"), "there is a default service account")
    say("node: it is Ready")


def _is_ready(api: Api) -> bool:
    found = api.get(f"/api/v1/nodes/{NODE_NAME}") or {}
    conditions = found.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _dns_answers(slot: Slot) -> bool:
    connection = http.client.HTTPConnection(slot.address, DNS_READY_PORT, timeout=60)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
