"""More attacks, many to a check: system calls, lies told to the worker, drawings and documents too large."""

from __future__ import annotations

import base64
import platform
import sys

import pytest

from jaxerm.render import RenderOptions, RenderPool
from jaxerm.render.sandbox import seccomp
from tests.render.test_hostile_documents import png
from tests.render.test_sandbox import ARCHITECTURES, EPERM, answer

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's")
KNOWN = {
    "chart": "import matplotlib.pyplot as plt\nplt.figure(figsize=(2, 2)).text(0.2, 0.5, 'known')\n",
    "svg": '<svg viewBox="0 0 8 8"><rect width="4" height="8"/><text y="8">a</text></svg>',
    "table": "<table><tr><td>known</td></tr></table>",
}
CALLS = {  # numbers on x86-64 and aarch64 of what no drawing needs
    "clone": (56, 220), "memfd_create": (319, 279), "userfaultfd": (323, 282), "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425), "bpf": (321, 280), "keyctl": (250, 219), "add_key": (248, 217),
    "setns": (308, 268), "unshare": (272, 97), "pivot_root": (155, 41), "mount": (165, 40), "fsopen": (430, 430),
    "open_tree": (428, 428), "mount_setattr": (442, 442), "openat2": (437, 437), "inotify_init1": (294, 26),
    "fanotify_init": (300, 262), "epoll_create1": (291, 20), "eventfd2": (290, 19), "signalfd4": (289, 74),
    "timerfd_create": (283, 85), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "kcmp": (312, 272),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "ptrace": (101, 117), "sched_setscheduler": (144, 119), "sched_setaffinity": (203, 122), "setpriority": (141, 140),
    "ioprio_set": (251, 30), "prctl": (157, 167), "seccomp": (317, 277), "personality": (135, 92),
    "init_module": (175, 105), "delete_module": (176, 106), "adjtimex": (159, 171), "sethostname": (170, 161),
    "syslog": (103, 116), "quotactl": (179, 60), "swapon": (167, 224), "acct": (163, 89), "shmget": (29, 194),
    "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "splice": (275, 76), "tee": (276, 77),
    "vmsplice": (278, 75), "sendfile": (40, 71), "copy_file_range": (326, 285), "mlockall": (151, 230),
    "fallocate": (285, 47), "mknodat": (259, 33), "linkat": (265, 37), "symlinkat": (266, 36), "setxattr": (188, 5),
    "io_setup": (206, 0), "landlock_create_ruleset": (444, 444), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "chroot": (161, 51),
    "setuid": (105, 146), "capset": (126, 91), "setsid": (112, 157), "setpgid": (109, 154), "socket": (41, 198),
    "socketpair": (53, 199), "execveat": (322, 281), "move_pages": (279, 239), "lookup_dcookie": (212, 18),
}  # fmt: skip
LIES = {  # told to the worker, or to whoever reads the reason
    "a greeting": ("wire.write_reply(3, wire.Reply(0, wire.HELLO, {}))", "crashed"),
    "a fault of this machine": ("wire.write_reply(3, wire.Reply(0, wire.ERROR, {'kind': 'killed'}))", "exception"),
    "half a picture": ("os.write(3, wire.REPLY.pack(b'jxr1', 0, 0, 0, 99, 99, 0.0) + bytes(9))", "crashed"),
    "a picture of no size": ("os.write(3, wire.REPLY.pack(b'jxr1', 0, 0, 0, 0, 9, 0.0))", "crashed"),
    "no reason": ("wire.write_reply(3, wire.Reply(0, wire.ERROR, {}))", "exception"),
    "a reason that is none": ("wire.write_reply(3, wire.Reply(0, wire.ERROR, {'text': [{}] * 99}))", "exception"),
    "half a letter, and colours": ("raise ValueError('\\ud800 \\x1b[31m \\x00')", "exception"),
    "a name without end": ("raise type('E' * 10 ** 6, (Exception,), {})", "exception"),
    "a name that is none": (
        "class M(type):\n    @property\n    def __name__(s): raise ValueError\nclass E(Exception, metaclass=M): pass\n"
        "raise E",
        "exception",
    ),
    "a text that is none": ("class E(Exception):\n    def __str__(s): return None\nraise E", "exception"),
    "no modules": ("sys.modules.clear()\nraise ValueError", "exception"),
    "no end": ("os._exit = lambda status: None\nraise ValueError", "exception"),
    "a hook on everything": ("sys.addaudithook(lambda *a: 1 / 0)\nos.listdir('.')", "crashed"),
    "words that are none": ("os.write(3, wire.REPLY.pack(b'jxr1', 0, 1, 9, 0, 0, 0.0) + b'[' * 9)", "crashed"),
    "words without end": ("os.write(3, wire.REPLY.pack(b'jxr1', 0, 1, 60000, 0, 0, 0.0) + b'[' * 60000)", "crashed"),
    "a number without end": ("os.write(3, wire.REPLY.pack(b'jxr1', 0, 1, 9999, 0, 0, 0.0) + b'9' * 9999)", "crashed"),
    "words of the worker": ("wire.write_reply(3, wire.Reply(0, wire.WORDS, {'kind': 'infrastructure'}))", "crashed"),
    "a kind that is none": ("wire.write_reply(3, wire.Reply(0, wire.ERROR, {'kind': ['timeout']}))", "exception"),
    "a way to say it": (
        "import gc\n[o.fail('infrastructure', 'x') for o in gc.get_objects() if type(o).__name__ == 'Capture']",
        "exception",
    ),
    "memory of the worker": (
        "frame = sys._getframe()\nwhile 'tray' not in frame.f_locals: frame = frame.f_back\n"
        "frame.f_locals['tray'].view[0]",
        "crashed",
    ),
    "an end like ours": ("os._exit(70)", "crashed"),
    "a question": ("input()", "exception"),
    "a debugger": ("breakpoint()", "exception"),
    "an end that says yes": (
        "import atexit\natexit.register(lambda: os.write(3, b'x' * 99))\nsys.exit(0)",
        "exception",
    ),
}
DRAWINGS = {  # each costs little time, and no chart is as large as it asks to be
    "dots": "plt.figure(dpi=1e9).canvas.draw()",
    "size": "plt.figure(figsize=(1e5, 1e5)).canvas.draw()",
    "not a number": "plt.figure(figsize=(float('nan'), 1))",
    "no size": "plt.figure().set_size_inches(0, 0)\nplt.savefig('a')",
    "thin": "plt.figure(figsize=(1e6, 1e-3))\nplt.savefig('a')",
    "far away": "plt.text(1e6, 1e6, 'x')\nplt.savefig('a', bbox_inches='tight')",
    "padding": "plt.plot([1])\nplt.savefig('a', bbox_inches='tight', pad_inches=1e6)",
    "letters": "plt.title('x', fontsize=1e9)\nplt.savefig('a')",
    "formula": "plt.title('$' + '{' * 5000 + 'x' + '}' * 5000 + '$')\nplt.savefig('a')",
    "ticks": "import matplotlib.ticker as t\nplt.gca().xaxis.set_major_locator(t.MultipleLocator(1e-9))\nplt.show()",
    "tex": "plt.rcParams['text.usetex'] = True\nplt.title('x')\nplt.savefig('a')",
    "film": "import matplotlib.animation as a\na.FFMpegWriter().setup(plt.figure(), '{folder}/new.mp4', 100)",
    "font cache": "import matplotlib.font_manager as f\nf.fontManager.addfont('{folder}/canary')",
    "picture of an array": "import numpy as np\nplt.imsave('{folder}/new.png', np.ones((3, 3)))",
    "past the capture": "plt.figure().canvas.print_png('{folder}/new.png')",
    "profile": "import cProfile\ncProfile.run('1', '{folder}/new')",
    "log": "import logging\nlogging.FileHandler('{folder}/new')",
    "pickle": "import pickle\npickle.loads(b\"cposix\\nsystem\\n(S'echo > {folder}/new'\\ntR.\")\nraise ValueError",
    "device": "open('/dev/mem', 'rb')",
    "kernel": "open('/sys/kernel/uevent_seqnum').read()",
    "from where it stands": "open('self/environ').read()",
    "names of users": "import pwd\npwd.getpwuid(0)",
}
WAYS = [  # to what is not for code; each is an exception
    "open('/proc/thread-self/mem', 'r+b')", "import os\nos.chdir('/proc')\nos.listdir('.')", "open('/proc/1/environ')",
    "print([open(f'/proc/{i}/cmdline').read() for i in range(1, 999)])", "open('/dev/fd/3', 'w')",
    "import os\nos.open('etc/passwd', os.O_RDONLY, dir_fd=os.open('/', os.O_PATH))",
    "import os, numpy\nopen(os.path.dirname(numpy.__file__) + '/..' * 20 + '/etc/passwd')",
    "from multiprocessing import shared_memory as s\ns.SharedMemory('jaxerm', True, 99)",
    "import multiprocessing as m\nm.Semaphore()", "import asyncio\nasyncio.run(asyncio.sleep(0))",
    "import fcntl\nfcntl.fcntl(3, fcntl.F_SETLEASE, 0)", "import fcntl\nfcntl.ioctl(3, 0x5452, bytes([1, 0, 0, 0]))",
    "import fcntl\nfcntl.lockf(1, fcntl.LOCK_EX)", "import socket\nsocket.socket(40, socket.SOCK_STREAM)",
    "import socket\nsocket.socket(38, 5)", "import socket\nsocket.sethostname('x')",
    "import faulthandler\nfaulthandler.enable(open('{folder}/new', 'w'))", "import shelve\nshelve.open('{folder}/new')",
    "import tracemalloc as t\nt.start()\nt.take_snapshot().dump('{folder}/new')",
    "import importlib.util as u\ns = u.spec_from_file_location('x', '{folder}/canary_module.py')\n"
    "s.loader.exec_module(u.module_from_spec(s))",
    "import matplotlib\nmatplotlib.rc_file('{folder}/canary')", "plt.imread('http://127.0.0.1:{tcp}/a.png')",
    "import matplotlib.backends.backend_svg as b\nb.FigureCanvasSVG(plt.figure()).print_svg('{folder}/new.svg')",
    "import ctypes\nctypes.CDLL('{folder}/canary')",
]  # fmt: skip
RECT = '<rect width="9" height="9"/>'
INNER = base64.b64encode(b'<svg><image href="http://127.0.0.1:1/"/></svg>').decode()
TIFF = base64.b64encode(b"II*\0\x08\0\0\0" + b"\xff" * 200).decode()
POSTSCRIPT = base64.b64encode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) (w) file\n").decode()
HTTP = "http://127.0.0.1:{tcp}/a"
SVGS = [
    '<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="file://{folder}/canary" parse="text"/>',
    '<g xml:base="file://{folder}/"><image href="#canary" width="9" height="9"/></g>',
    f'<image xmlns:y="http://www.w3.org/1999/xlink" y:href="{HTTP}" width="9" height="9"/>',
    f'<image href=" &#9;{HTTP}" width="9" height="9"/>',
    f'<image href="#a"><set attributeName="href" to="{HTTP}"/></image>',
    f'<image href="data:image/svg+xml;base64,{INNER}" width="9" height="9"/>',
    f'<image href="data:image/png;base64,{INNER}" width="9" height="9"/>',
    f'<image href="data:image/png;base64,{POSTSCRIPT}" width="9" height="9"/>',
    f'<image href="data:image/png;base64,{png(99, 99)[:80]}" width="9" height="9"/>',
    f'<image href="data:image/png;base64,{TIFF}" width="9" height="9"/>',
    f'<style>@import url("data:text/css,@import url({HTTP})");</style>',
    f'<text id="t"><textPath href="#t">x</textPath><tref xlink:href="{HTTP}"/></text>'.replace("xlink:", ""),
    f"<style><![CDATA[ @\\69mport url({HTTP}); ]]></style>",
    f'<filter id="f"><feImage href="{HTTP}"/></filter><rect filter="url(#f)" width="9" height="9"/>',
    f'<foreignObject width="9" height="9"><img xmlns="http://www.w3.org/1999/xhtml" src="{HTTP}"/></foreignObject>',
    '<clipPath id="c"><use href="#u"/></clipPath><g id="u" clip-path="url(#c)"><rect width="9" height="9"/></g>',
    '<path d="M0 0L1e999999 -1e999999A1e30 1e30 0 0 1 5 5" stroke="red" stroke-width="1e30"/>',
    '<text y="9" letter-spacing="1e300" textLength="1e300" rotate="1 1 1">xxx</text>',
    '<pattern id="p" width="1e7" height="1e7" patternUnits="userSpaceOnUse"><rect/></pattern><rect fill="url(#p)"/>',
]
TABLES = [
    "<td rowspan=65534>x", "<td colspan='&#57;9999' rowspan='&#57;9999'>x", "<td/colspan=9999/rowspan=9999>x",
    "<td>" + "<table><tr><td>" * 10_000, "<td>" + "<div><!--</div>-->" * 2_000 + "x", "<td>" + "<x-y>" * 9_000,
    "<td style='padding:calc(1px/0);border:1e9px solid'>x", "<td><ol type=I start=999999999><li>x</ol>",
    "<td><font size=+999999999>x</font><hr size=1000000000>", "<td style='background:url(" + HTTP + ")'>x",
    f"<td><img srcset='{HTTP} 1x' src='#'><input type=image src='{HTTP}'><video poster='{HTTP}'></video>x",
    f"<td><base href='{HTTP}'><link rel='preload stylesheet' href=a.css><meta http-equiv=refresh content='0;url=a'>x",
    f"<td><scr<script></script>ipt>x()</script><ifr<iframe></iframe>ame src='{HTTP}'></iframe>x",
    f"<td><obj<object></object>ect data='{HTTP}'><embed src='{HTTP}'><applet code=x></applet>x",
    f"<td><ul style='list-style:url({HTTP})'><li style='cursor:url(" + "{folder}/canary)'>x</ul>",
    f"<style>@import '{HTTP}' layer(x);@namespace url({HTTP});</style><td>x",
    f"<td><img src='data:image/svg+xml;utf8,<svg xmlns=%22http://www.w3.org/2000/svg%22><image href=%22{HTTP}%22/>'>x",
    "<td style='padding:1e9em 1e9vw;border-radius:1e30px'>x",
    "<style>@page{size:1e9px 1e9px;margin:1e9px}</style><td>x",
    "<colgroup span=1000000000><col span=999999999><td>x", "<td colspan=1000000000>x", "<td style='zoom:1e9'>x",
    "<style>td::before{content:counters(a,'" + "x" * 999 + "')}td{counter-increment:a 999999}</style>" + "<td>x" * 99,
    f"<style>@font-face{{font-family:'DejaVu Sans';src:url(data:image/png;base64,{TIFF}),url({HTTP})}}</style><td>x",
    "<style>" + "a{" * 5_000 + "</style><td>x", "<td style='text-shadow:0 0 1e9px red;filter:blur(1e9px)'>x",
]  # fmt: skip


@pytest.fixture(scope="module")
def pool():
    with RenderPool(1, timeout_s=30, options=RenderOptions(svg_size=64, memory_mb=512)) as pool:
        yield pool


@pytest.fixture
def unharmed(pool, world):
    """Afterwards nothing has been reached, and the pool draws what it drew before."""
    before = {task: pool.render(task, code).image.tobytes() for task, code in KNOWN.items()}
    yield
    world.check()
    assert {task: pool.render(task, code).image.tobytes() for task, code in KNOWN.items()} == before


@linux_only
def test_calls_that_no_drawing_needs_are_refused_by_name(pool, unharmed):
    column = 0 if platform.machine() == "x86_64" else 1
    code = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nthrough = []\n"
        f"for name, numbers in {CALLS!r}.items():\n"
        f"    if libc.syscall(numbers[{column}], -1, -1, -1, -1, -1, -1) >= 0 or ctypes.get_errno() != 1:\n"
        "        through.append(name)\n"
        "assert not through, through\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])"
    )
    result = pool.render("chart", code)
    assert result.ok, str(result.error)


@pytest.mark.parametrize("machine", list(ARCHITECTURES))
def test_the_filter_refuses_them_on_either_processor(machine):
    code, column = seccomp.program(machine, may_open_to_write=True), list(ARCHITECTURES).index(machine)
    for name, numbers in CALLS.items():
        assert answer(code, ARCHITECTURES[machine], numbers[column]) == EPERM, name


@linux_only
def test_lies_are_the_fault_of_the_code_and_fit_for_a_terminal(pool, unharmed):
    for name, (lie, kind) in LIES.items():
        code = f"import os, sys\nfrom jaxerm.render import wire\n{lie}\nos._exit(0)"
        result = pool.render("chart", code)
        assert (result.fault, result.error.kind) == ("code", kind), (name, result.error)
        assert len(result.error.text) <= 1000 and result.error.text.isprintable(), name


@linux_only
def test_no_drawing_is_larger_than_allowed_or_leaves_a_file(pool, unharmed, world):
    for name, drawing in DRAWINGS.items():
        result = pool.render("chart", world.fill("import matplotlib.pyplot as plt\n" + drawing))
        assert result.fault == "code", (name, result.error)
        assert result.error.kind in ("exception", "memory"), (name, result.error)


@linux_only
def test_nothing_is_reached_in_other_ways(pool, unharmed, world):
    for way in WAYS:
        result = pool.render("chart", world.fill("import matplotlib.pyplot as plt\n" + way + "\nplt.plot([1, 2])"))
        assert (result.fault, result.error and result.error.kind) == ("code", "exception"), (way, result.error)


def test_documents_reach_nothing_and_cost_little(pool, unharmed, world):
    jobs = [("svg", f'<svg viewBox="0 0 64 64">{part}{RECT}</svg>') for part in SVGS]
    jobs += [("table", f"<table><tr>{part}</table>") for part in TABLES]
    jobs += [("html", f"<body>page<table><tr>{part}</table>") for part in TABLES if HTTP in part]
    for task, code in jobs:
        result = pool.render(task, world.fill(code))
        assert result.ok or (result.fault, result.error.kind == "timeout") == ("code", False), (code, result.error)
