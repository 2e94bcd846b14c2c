"""Short ways to render; the processes of a pool; what hostile code could reach, and whether it did."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import tempfile
from pathlib import Path

import numpy as np
import pytest


def image(result):
    """int[H, W, 3] of a render that went well."""
    assert result.ok, str(result.error)
    assert result.image.dtype == np.uint8 and result.image.ndim == 3 and result.image.shape[2] == 3
    return result.image.astype(int)


def chart(pool, code):
    return pool.render("chart", "import matplotlib.pyplot as plt\n" + code)


def children(pid: int) -> list[int]:
    """The processes that `pid` has started and not yet reaped."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        # A thread may end between being listed and being read.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


class World:
    """What there is to reach; `fill` puts the names into code, `check` fails if anything was reached."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = {"canary": b"alive", "canary_module.py": b"", "unix": None}
        for name, content in self.names.items():
            if content is not None:
                (folder / name).write_bytes(content)
                (folder / name).chmod(0o666)
        self.tcp, self.udp = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.unix, self.abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        self.unix.bind(str(folder / "unix"))
        (folder / "unix").chmod(0o777)
        self.abstract.bind(f"\0jaxerm-hostile-{os.getpid()}")
        for server in (self.unix, self.abstract):
            server.listen()
        for server in self.sockets:
            server.setblocking(False)
        self.stat = self._stat()

    @property
    def sockets(self):
        return self.tcp, self.udp, self.unix, self.abstract

    def _stat(self):
        found = os.stat(self.folder / "canary")
        return found.st_mode, found.st_uid, found.st_mtime_ns, found.st_nlink

    def fill(self, code: str) -> str:
        places = {
            "folder": self.folder, "tcp": self.tcp.getsockname()[1], "udp": self.udp.getsockname()[1],
            "abstract": f"jaxerm-hostile-{os.getpid()}", "parent": os.getpid(), "x86": platform.machine() == "x86_64",
        }  # fmt: skip
        for name, value in places.items():
            code = code.replace("{" + name + "}", str(value))
        return code

    def check(self) -> None:
        """Nothing came to be, nothing changed, nobody called."""
        assert sorted(os.listdir(self.folder)) == sorted(self.names)
        assert (self.folder / "canary").read_bytes() == b"alive"
        assert self._stat() == self.stat
        for server in (self.tcp, self.unix, self.abstract):
            with pytest.raises(BlockingIOError):
                server.accept()
        with pytest.raises(BlockingIOError):
            self.udp.recv(10)


@pytest.fixture(scope="module")
def world():
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    folder.chmod(0o777)
    world = World(folder)
    yield world
    for server in world.sockets:
        server.close()
    shutil.rmtree(folder)
