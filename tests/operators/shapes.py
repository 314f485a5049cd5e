"""One small operator for each shape in which Kopf operators are started."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import dedent

#: Handlers of every kind, in threads and in the event loop; what they do is in ``work``.
HANDLERS = """
    import kopf
    from shop import work

    CHOSEN = {"labels": {"for": "operator"}}

    @kopf.on.startup()
    def configure(settings, **_):
        settings.posting.enabled = False
        settings.persistence.finalizer = "tests.example.org/shop"
        work.started()

    @kopf.on.create("configmaps", **CHOSEN)
    def created(name, patch, **_):
        patch.metadata.annotations["handled"] = work.created(name)

    @kopf.on.update("configmaps", field="data", **CHOSEN)
    async def updated(patch, **_):
        patch.metadata.annotations["handled"] = await work.updated()

    @kopf.on.delete("configmaps", **CHOSEN)
    async def deleted(name, **_):
        work.deleted(name)

    @kopf.on.cleanup()
    async def clean(**_):
        work.cleaned()
"""

WORK = """
    import asyncio

    def started():
        return [number for number in range(3) if number]

    def created(name):
        if name == "one":
            return "created"
        return "another"

    async def updated():
        for _ in range(2):
            await asyncio.sleep(0)
        return "updated"

    def deleted(name):
        try:
            return {}[name]
        except KeyError:
            return "deleted"

    def cleaned():
        return "cleaned"

    def never():
        return "never"
"""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """An operator: its *files*, and the command line of ``python`` that starts it *alone*.

    *alone* is all of it but ``python`` itself; `measured` puts ``coverage run`` in front of it, *recorded* is the
    command line with recording. ``{namespace}`` and ``{port}`` in them are filled in. *source* is what is to be
    measured; plain coverage.py gets *plain_source* where it does not know a file by the package's name.
    """

    files: Mapping[str, str]
    alone: Sequence[str]
    recorded: Sequence[str]
    source: str = "shop"
    plain_source: str = ""
    stop: signal.Signals = signal.SIGTERM
    path: str = "."
    #: By file the function that a forked child alone runs, which plain coverage.py does not measure.
    in_children: Mapping[str, str] = field(default_factory=dict)
    #: The file whose own functions run the event loop; on Python 3.11 these get lines of asyncio.
    running: str = ""


def _run(*options: str) -> list[str]:
    return ["-m", "kopf", "run", "--standalone", "-n", "{namespace}", *options]


_OPTIONS = ("-n", "{namespace}", "--dev", "--peering=tests", "--liveness=http://127.0.0.1:{port}/")

_MODULES = ("-m", "shop.more", "-m", "shop.handlers")

_PACKAGE = {"shop/__init__.py": "", "shop/handlers.py": HANDLERS, "shop/work.py": WORK}

_MAIN = """
    import sys
    import kopf
    from shop import handlers

    def main():
        namespace = sys.argv[1]
        if namespace:
            kopf.run(standalone=True, namespaces=[namespace])
        return 0

    if __name__ == "__main__":
        sys.exit(main())
"""

_BESIDE_AIOHTTP = """
    import asyncio
    import sys

    import kopf
    from aiohttp import web

    from shop import handlers

    async def healthy(request):
        return web.Response(text="ok")

    async def main():
        app = web.Application()
        app.router.add_get("/healthz", healthy)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", int(sys.argv[2])).start()
        try:
            await kopf.operator(standalone=True, namespaces=[sys.argv[1]])
        finally:
            await runner.cleanup()

    asyncio.run(main())
"""

_BESIDE_UVICORN = """
    import asyncio
    import sys
    import threading

    import kopf
    import uvicorn
    import uvloop

    from shop import handlers

    stop = threading.Event()

    def operate():
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(kopf.operator(standalone=True, namespaces=[sys.argv[1]], stop_flag=stop))

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                if message["type"] == "lifespan.startup":
                    thread.start()
                    await send({"type": "lifespan.startup.complete"})
                else:
                    stop.set()
                    await asyncio.to_thread(thread.join)
                    await send({"type": "lifespan.shutdown.complete"})
                    return

    thread = threading.Thread(target=operate)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", loop="uvloop")
"""

_IN_A_POOL = """
    import asyncio
    import functools
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    import kopf
    from shop import work

    CHOSEN = {"labels": {"for": "operator"}}
    pool = ProcessPoolExecutor(1, mp_context=get_context("fork"))

    def in_the_pool(name):
        return work.created(name)

    @kopf.on.create("configmaps", **CHOSEN)
    async def created(name, patch, **_):
        loop = asyncio.get_running_loop()
        patch.metadata.annotations["handled"] = await loop.run_in_executor(pool, functools.partial(in_the_pool, name))

    @kopf.on.update("configmaps", field="data", **CHOSEN)
    async def updated(patch, **_):
        patch.metadata.annotations["handled"] = await work.updated()

    @kopf.on.cleanup()
    def clean(**_):
        pool.shutdown()
"""

SHAPES: Mapping[str, Shape] = {
    "package": Shape(
        files=_PACKAGE,
        alone=_run("-m", "shop.handlers"),
        recorded=_run("-m", "coverage_hooks.kopf", "-m", "shop.handlers"),
    ),
    "file": Shape(
        files={f"src/{name}": text for name, text in _PACKAGE.items()},
        alone=_run("src/shop/handlers.py"),
        recorded=["-m", "coverage_hooks", "kopf-run", *_run("src/shop/handlers.py")[3:]],
        plain_source="src/shop",
        path="src",
    ),
    "several": Shape(
        files=_PACKAGE | {"shop/more.py": "import kopf\n\n@kopf.on.probe(id='x')\ndef probe(**_):\n    return 1\n"},
        alone=["-m", "kopf", "run", *_OPTIONS, *_MODULES],
        recorded=[
            "-m",
            "kopf",
            "run",
            *_OPTIONS,
            "-m",
            "coverage_hooks.kopf",
            "-m",
            "shop.more",
            "-m",
            "shop.handlers",
        ],
    ),
    "script": Shape(
        files=_PACKAGE | {"operate.py": "from kopf.cli import main\n\nif __name__ == '__main__':\n    main()\n"},
        running="operate.py",
        alone=["operate.py", *_run("-m", "shop.handlers")[2:]],
        recorded=["-m", "coverage_hooks", "run", "operate.py", *_run("-m", "shop.handlers")[2:]],
        source=".",
    ),
    "module": Shape(
        files=_PACKAGE | {"shop/__main__.py": _MAIN},
        running="shop/__main__.py",
        alone=["-m", "shop", "{namespace}"],
        recorded=["-m", "coverage_hooks", "run", "-m", "shop", "{namespace}"],
    ),
    "console-script": Shape(
        files=_PACKAGE
        | {
            "shop/cli.py": _MAIN,
            "bin/operate": f"#!{sys.executable}\nimport sys\nfrom shop.cli import main\nsys.exit(main())\n",
        },
        running="shop/cli.py",
        alone=["bin/operate", "{namespace}"],
        recorded=["-m", "coverage_hooks", "run", "operate", "{namespace}"],
    ),
    "beside-aiohttp": Shape(
        files=_PACKAGE | {"shop/__main__.py": _BESIDE_AIOHTTP},
        running="shop/__main__.py",
        alone=["-m", "shop", "{namespace}", "{port}"],
        recorded=["-m", "coverage_hooks", "run", "-m", "shop", "{namespace}", "{port}"],
    ),
    "beside-uvicorn": Shape(
        files=_PACKAGE | {"shop/__main__.py": _BESIDE_UVICORN},
        running="shop/__main__.py",
        alone=["-m", "shop", "{namespace}", "{port}"],
        recorded=["-m", "coverage_hooks", "run", "-m", "shop", "{namespace}", "{port}"],
        # On SIGTERM uvicorn ends itself by that signal once it has stopped, and plain coverage.py saves nothing.
        stop=signal.SIGINT,
    ),
    "namespace-folders": Shape(
        files={
            "shop/__init__.py": "",
            "shop/jobs/handlers.py": HANDLERS.replace("from shop import work", "from shop.jobs.deep import work"),
            "shop/jobs/deep/work.py": WORK,
        },
        alone=_run("-m", "shop.jobs.handlers"),
        recorded=_run("-m", "coverage_hooks.kopf", "-m", "shop.jobs.handlers"),
    ),
    "process-pool": Shape(
        files=_PACKAGE | {"shop/handlers.py": _IN_A_POOL},
        alone=_run("-m", "shop.handlers"),
        recorded=_run("-m", "coverage_hooks.kopf", "-m", "shop.handlers"),
        in_children={"shop/work.py": "created", "shop/handlers.py": "in_the_pool"},
    ),
    "entrypoint": Shape(
        files=_PACKAGE
        | {
            "shop/__main__.py": "import coverage_hooks\n\ncoverage_hooks.start()\n\nimport sys\nimport kopf\n"
            "import shop.handlers\n\nkopf.run(standalone=True, namespaces=[sys.argv[1]])\ncoverage_hooks.save()\n",
        },
        alone=["-m", "shop", "{namespace}"],
        recorded=["-m", "shop", "{namespace}"],
    ),
}


def written(text: str) -> str:
    """Return *text* of a file as it is written."""
    return dedent(text).lstrip("\n")
