"""Programs that mean harm: each draws a picture if it gets through, none does, and the next chart is what it was."""

from __future__ import annotations

import platform
import sys

import pytest

from jaxerm.render import RenderOptions, RenderPool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's")

HANG_S = 0.6
KNOWN = "import matplotlib.pyplot as plt\nplt.figure(figsize=(2, 2)).text(0.2, 0.5, 'known')\n"
SUCCESS = "\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\n"
LIBC = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
X86 = platform.machine() == "x86_64"

# In code, {folder} is writable for all and holds {folder}/canary; {tcp}, {udp}, {unix} and {abstract} listen;
# {parent} is the process of the tests. Where a call reports failure by its value, the code asserts success.
READ = {
    "open": "open('/etc/passwd').read()",
    "canary": "open('{folder}/canary').read()",
    "numpy text": "import numpy as np; np.loadtxt('{folder}/canary', dtype=str)",
    "numpy raw": "import numpy as np; np.fromfile('{folder}/canary', 'u1')",
    "image": "import matplotlib.pyplot as plt; plt.imread('{folder}/canary')",
    "style": "import matplotlib.pyplot as plt; plt.style.use('{folder}/canary')",
    "descriptor": "import os; os.read(os.open('{folder}/canary', os.O_RDONLY), 9)",
    "line cache": "import linecache; assert linecache.getlines('/etc/passwd')",
    "module": "import sys; sys.path.insert(0, '{folder}'); import canary_module",
    "libc": LIBC + "assert libc.open(b'{folder}/canary', 0) >= 0",
    "list": "import os; os.listdir('/')",
    "list folder": "import os; assert 'canary' in os.listdir('{folder}')",
    "glob": "import glob; assert glob.glob('{folder}/*')",
    "own environment": "open('/proc/self/environ').read()",
    "environment of the parent": "open('/proc/{parent}/environ').read()",
    "environment of the worker": "import os; open(f'/proc/{os.getppid()}/environ').read()",
    "memory of the parent": "open('/proc/{parent}/mem', 'rb')",
    "memory of the worker": "import os; open(f'/proc/{os.getppid()}/mem', 'rb')",
    "process_vm_readv": LIBC + "b = ctypes.create_string_buffer(8)\nv = (ctypes.c_size_t * 2)(ctypes.addressof(b), 8)\n"
    "import os\nassert libc.process_vm_readv(os.getppid(), v, 1, v, 1, 0) >= 0",
    "inherited descriptors": "import os\nopened = []\nfor fd in range(4, 64):\n    try: opened.append(os.fstat(fd))\n"
    "    except OSError: pass\nassert opened",
    "secret": "import os; os.environ['SECRET_TOKEN']",
    "environment in C": LIBC + "names = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, 'environ')\n"
    "every = iter(names)\nassert any(b'hunter2' in name for name in iter(lambda: next(every), None))",
    "by handle": LIBC + "assert libc.name_to_handle_at(-100, b'/etc/passwd', bytes(200), bytes(8), 0) == 0",
}
WRITE = {
    "new": "open('{folder}/new', 'w')",
    "append": "open('{folder}/canary', 'a').write('x')",
    "over": "open('{folder}/canary', 'w')",
    "own packages": "import numpy; open(numpy.__file__, 'a')",
    "truncate": "import os; os.truncate('{folder}/canary', 0)",
    "pathlib": "import pathlib; pathlib.Path('{folder}/new').write_text('x')",
    "touch": "import pathlib; pathlib.Path('{folder}/new').touch()",
    "numpy": "import numpy as np; np.save('{folder}/new.npy', np.ones(3))",
    "temporary": "import tempfile; tempfile.TemporaryFile()",
    "shared memory": "open('/dev/shm/jaxerm-new', 'w')",
    "memory file": "import os; os.memfd_create('x')",
    "sqlite": "import sqlite3; sqlite3.connect('{folder}/new.db').execute('create table t(a)')",
    "oom score": "open('/proc/self/oom_score_adj', 'w').write('0')",
    "pipe": "import os; os.mkfifo('{folder}/new')",
    "folder": "import posix; posix.mkdir('{folder}/new')",
    "delete": "import os; os.remove('{folder}/canary')",
    "rename": "import os; os.rename('{folder}/canary', '{folder}/new')",
    "tree": "import shutil; shutil.rmtree('{folder}')",
    "symbolic link": "import os; os.symlink('/etc/passwd', '{folder}/new')",
    "hard link": "import os; os.link('{folder}/canary', '{folder}/new')",
    "mode": "import os; os.chmod('{folder}/canary', 0o777)",
    "owner": "import os; os.chown('{folder}/canary', os.getuid(), os.getgid())",
    "times": "import os; os.utime('{folder}/canary', (0, 0))",
}
NETWORK = {
    "tcp": "import socket; socket.create_connection(('127.0.0.1', {tcp}), 1)",
    "udp": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {udp}))",
    "unix": "import socket; socket.socket(socket.AF_UNIX).connect('{folder}/unix')",
    "abstract": "import socket; socket.socket(socket.AF_UNIX).connect('\\0{abstract}')",
    "listen": "import socket; socket.create_server(('127.0.0.1', 0))",
    "raw": "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "netlink": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "pair": "import socket; socket.socketpair()",
    "dns": "import socket; socket.getaddrinfo('example.org', 80)",
    "url": "import urllib.request; urllib.request.urlopen('http://127.0.0.1:{tcp}/', timeout=1)",
    "libc": LIBC + "assert libc.socket(2, 1, 0) >= 0",
}
PROCESSES = {
    "system": "import os; assert os.system('echo > {folder}/new') == 0",
    "subprocess": "import subprocess; subprocess.run(['/bin/true'])",
    "popen": "import matplotlib; matplotlib.os.popen('echo hi').read()",
    "exec": "import os; os.execv('/bin/true', ['true'])",
    "spawn": "import os; os.posix_spawn('/bin/true', ['true'], {})",
    "fork": "import os; os.fork()",
    "fork bomb": "import os\nwhile True: os.fork()",
    "pty": "import pty; pty.fork()",
    "multiprocessing": "import multiprocessing as m; p = m.get_context('fork').Process(target=print); p.start()",
    "thread": "import threading; threading.Thread(target=print).start()",
    "executor": "from concurrent.futures import ThreadPoolExecutor as T; T().submit(print).result()",
    "vfork": LIBC + "assert libc.syscall(58 if {x86} else 220, 0) >= 0",
    "kill the parent": "import os; os.kill({parent}, 9)",
    "kill the worker": "import os; os.kill(os.getppid(), 9)",
    "kill the group": "import os; os.killpg(0, 9)",
    "kill all": "import os; os.kill(-1, 9)",
    "kill oneself": "import os; os.kill(os.getpid(), 9)",
    "queue a signal": LIBC + "import os\nassert libc.sigqueue(os.getppid(), 9, 0) == 0",
    "owner of a pipe": "import fcntl, os; fcntl.fcntl(3, fcntl.F_SETOWN, os.getppid())",
    "ptrace": LIBC + "import os\nassert libc.ptrace(16, os.getppid(), 0, 0) == 0",
    "pidfd": "import os; os.pidfd_open(os.getppid())",
    "session": "import os; os.setsid()",
    "root": "import os; os.setresuid(0, 0, 0)",
    "chroot": "import os; os.chroot('{folder}')",
    "unshare": LIBC + "assert libc.unshare(0x10000000) == 0",
    "mount": LIBC + "assert libc.mount(b'none', b'{folder}', b'tmpfs', 0, 0) == 0",
    "bpf": LIBC + "assert libc.syscall(321 if {x86} else 280, 0, 0, 0) >= 0",
    "io_uring": LIBC + "assert libc.syscall(425, 1, bytes(120)) >= 0",
    "keys": LIBC + "assert libc.syscall(250 if {x86} else 219, 0, -3, 1) >= 0",
    "priority": "import os; os.nice(-5)",
    "terminal input": "import fcntl; fcntl.ioctl(2, 0x5412, b'x')",
    "limits": "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))",
    "descriptors": "import os\nfor _ in range(9999): os.dup(1)",
}
HANG = {
    "loop": "while True: pass",
    "loop in C": "sum(iter(int, 1))",
    "sleep": "import time; time.sleep(100)",
    "pause without an alarm": "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0)\nwhile True: signal.pause()",
    "deaf": "import signal\nfor s in set(signal.Signals) - {9, 19}: signal.signal(s, signal.SIG_IGN)\nwhile True: pass",
    "swallowing": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "output": "while True: print('x' * 100000)",
    "regular expression": "import re; re.match('(a+)+b', 'a' * 50)",
    "large number": "print(len(str(7 ** (10 ** 9))))",
    "error that never ends": "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E",
    "half an answer": "import os\nos.write(3, b'jxr1')\nwhile True: pass",
    "ending that never ends": "import atexit\ntry: raise SystemExit\nfinally:\n    while True: pass",
}
OTHER = {
    "6 GiB": ("import numpy as np; np.ones(6 << 27)", {"memory"}),
    "list": ("a = [0]\nwhile True: a += a", {"memory"}),
    "dictionary": ("a = {}\nfor i in range(10 ** 9): a[i] = str(i) * 1000", {"memory", "timeout"}),
    "figures": ("import matplotlib.pyplot as plt\nwhile True: plt.figure().canvas.draw()", {"memory", "timeout"}),
    "recursion": ("def f(): return f()\nf()", {"exception"}),
    "recursion unbound": (
        "import sys\nsys.setrecursionlimit(10 ** 9)\nf = lambda: f()\nf()",
        {"memory", "crashed", "timeout"},
    ),
    "deep source": ("(" * 100_000, {"syntax"}),
    "deeper source": ("-" * 500_000 + "1", {"syntax", "crashed"}),
    "null pointer": ("import ctypes; ctypes.string_at(0)", {"crashed"}),
    "abort": ("import os; os.abort()", {"crashed"}),
    "quiet end": ("import os; os._exit(0)", {"crashed"}),
    "end": ("import os; os._exit(3)", {"crashed"}),
    "no pipe": ("import os; os.closerange(0, 100)\nwhile True: pass", {"crashed", "timeout"}),
    "no answer": ("import os; os.write(3, b'jxr1' + bytes(1000))", {"crashed"}),
    "flood": ("import os\nwhile True: os.write(3, bytes(1 << 16))", {"crashed"}),
    "claim": ("import os, struct\nos.write(3, struct.pack('<4sIBIIId', b'jxr1', 0, 0, 0, 1 << 31, 1 << 31, 0))\n"
              "os._exit(0)", {"crashed"}),
    "blame": ("import os\nfrom jaxerm.render import wire\n"
              "wire.write_reply(3, wire.Reply(0, wire.ERROR, {'kind': 'infrastructure', 'text': 'not me'}))\n"
              "os._exit(0)", {"exception"}),
    "base exception": ("raise BaseException('no')", {"exception"}),
    "x32": (LIBC + "libc.syscall(0x40000000 | 59, b'/bin/true', 0, 0)" if X86 else "import os; os.abort()",
            {"crashed"}),
    "32 bit": ("import ctypes, mmap\nm = mmap.mmap(-1, 4096, prot=7)\n"
               "m.write(bytes.fromhex('b802000000cd80c3'))\n"  # mov eax, 2 (fork); int 0x80; ret
               "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()"
               if X86 else "import os; os.abort()", {"crashed"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def pool():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_TOKEN", "hunter2")
        with RenderPool(1, timeout_s=30, options=RenderOptions(memory_mb=512)) as pool:
            yield pool


@pytest.fixture(scope="module")
def known(pool):
    result = pool.render("chart", KNOWN)
    assert result.ok, str(result.error)
    return result.image.tobytes()


def run(pool, known, world, code, timeout_s=30.0):
    """The result of hostile code, once it is clear that it changed nothing and that the pool is what it was."""
    pool.timeout_s = timeout_s
    try:
        result = pool.render("chart", world.fill(code) + SUCCESS)
    finally:
        pool.timeout_s = 30.0
    world.check()
    assert pool.render("chart", KNOWN).image.tobytes() == known
    assert result.seconds < timeout_s + 2.5
    assert not result.ok, "it got through"
    assert result.fault == "code", str(result.error)
    return result


def cases(**tables):
    return [pytest.param(code, id=f"{table}: {name}") for table, rows in tables.items() for name, code in rows.items()]


@pytest.mark.parametrize("code", cases(read=READ, write=WRITE, network=NETWORK, processes=PROCESSES))
def test_reaching_out_is_an_error_of_the_code(pool, known, world, code):
    result = run(pool, known, world, code)
    assert result.error.kind == "exception", str(result.error)


@pytest.mark.parametrize("code", cases(hang=HANG))
def test_what_hangs_is_ended(pool, known, world, code):
    assert run(pool, known, world, code, HANG_S).error.kind == "timeout"


@pytest.mark.parametrize(("code", "kinds"), [pytest.param(*case, id=name) for name, case in OTHER.items()])
def test_what_takes_too_much_or_lies_costs_one_render(pool, known, world, code, kinds):
    result = run(pool, known, world, code, 3.0 if "timeout" in kinds else 30.0)
    assert result.error.kind in kinds, str(result.error)


@pytest.mark.parametrize(
    "code",
    [
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('{folder}/new.png')",
        "import os\nos.makedirs('{folder}/new/deep', exist_ok=True)",
        "import os\nopen(os.devnull, 'w').write('x')",
        "import matplotlib.pyplot as plt\nplt.plot = plt.legend = None\nplt.rcParams['font.size'] = 40\n"
        "plt.figure().text(0, 0, 'x')\nplt.show()",
    ],
    ids=["save", "folder", "null", "patch"],
)
def test_what_is_harmless_here_draws_and_still_changes_nothing(pool, known, world, code):
    result = pool.render("chart", world.fill(code) + SUCCESS)
    assert result.ok, str(result.error)
    world.check()
    assert pool.render("chart", KNOWN).image.tobytes() == known


def test_code_does_not_see_the_code_before_it(pool, known):
    assert pool.render("chart", "marker = 'of an earlier chart'" + SUCCESS).ok
    code = (
        "import gc, sys\nfound = [o for o in gc.get_objects() if isinstance(o, dict) and 'marker' in o]\n"
        "frame = sys._getframe()\nwhile frame.f_back:\n    frame = frame.f_back\n"
        "    found += [v for v in frame.f_locals.values() if isinstance(v, str | bytes) and len(v) > 500]\n"
        "assert not found\n"
    )
    result = pool.render("chart", code + SUCCESS)
    assert result.ok, str(result.error)


# Looks for {needles} in the answers that frames know of, and in every byte of the heap: a pipe takes what is mapped.
NOSY = (
    LIBC
    + """
import os, sys
import numpy as np
libc.sbrk.restype = ctypes.c_void_p
take, give = os.pipe2(0)
def copy(address, size):
    sent = libc.write(give, ctypes.c_void_p(address), size)
    return os.read(take, sent) if sent > 0 else b''
frame, pages = sys._getframe(), []
while frame := frame.f_back:
    for reply in frame.f_locals.values():
        if len(getattr(reply, 'pixels', '')):
            pages.append(copy(np.frombuffer(reply.pixels, 'u1').ctypes.data, 4096))
top = libc.sbrk(0) & ~4095
while page := copy(top := top - 4096, 4096):
    pages.insert(0, page)
assert len(pages) > 1000
found = [needle for needle in {needles} if bytes.fromhex(needle) in b''.join(pages)]
assert not found, found
"""
)


def test_code_does_not_see_the_answer_before_it(pool, known):
    colour = "5a17c9" * 300
    picture = "import matplotlib.pyplot as plt\nplt.figure(facecolor='#5a17c9', figsize=(4, 3)).text(0.2, 0.5, 'x')\n"
    words = pool.render("chart", "raise ValueError('words of ' + 'an earlier chart')").error.text
    assert bytes.fromhex(colour) in pool.render("chart", picture).image.tobytes()
    needles = (colour, words[-20:].encode().hex())
    result = pool.render("chart", NOSY.replace("{needles}", repr(needles)) + SUCCESS)
    assert result.ok, str(result.error)
