"""An engine in a process of its own: its threads, its environment, its memory, and its crashes.

Several engines in one process would share one OpenMP runtime or, worse, load several. Each waits for work as its users
know it, which for most is to spin for a while; so that one at a time has the cores, a worker is stopped except while it
is asked something.
"""

import atexit
import ctypes
import multiprocessing
import os
import pathlib
import signal
import traceback

ENVIRONMENT = {"CT2_VERBOSE": "-1"}
PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>


def serve(pipe, engine_class, options):
    """Answers (method, arguments) with (True, result) or (False, reason), until None comes."""
    # A stopped process would outlive a parent that is killed.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    engine = engine_class(options)
    while (request := pipe.recv()) is not None:
        method, arguments = request
        try:
            pipe.send((True, getattr(engine, method)(*arguments)))
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            pipe.send((False, f"{reason_of(error)} ({pathlib.Path(where.filename).name}:{where.lineno})"))


def reason_of(error):
    """One line: the first that says error, where a compiler's output is quoted, or the first."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return next((line for line in lines if "error:" in line), lines[0])[:200]


class Failed(Exception):
    """An engine refused or died; the text says why."""


class Remote:
    """An engine that runs elsewhere: remote.call("prefill", 128)."""

    def __init__(self, engine_class, options):
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.name = engine_class.name
        old = dict(os.environ)
        os.environ.update(ENVIRONMENT, OMP_NUM_THREADS=str(options.threads))
        self.process = context.Process(target=serve, args=(other, engine_class, options), daemon=True)
        self.process.start()
        os.environ.clear()
        os.environ.update(old)
        other.close()
        # At exit Python waits for the process, which must run to end.
        atexit.register(self.resume)

    def stop(self):
        if self.process.is_alive():
            os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        if self.process.is_alive():
            os.kill(self.process.pid, signal.SIGCONT)

    def call(self, method, *arguments):
        self.resume()
        try:
            self.pipe.send((method, arguments))
            succeeded, result = self.pipe.recv()
        except (EOFError, BrokenPipeError):
            self.process.join()
            raise Failed(f"its process ended with status {self.process.exitcode}") from None
        self.stop()
        if not succeeded:
            raise Failed(result)
        return result

    def close(self):
        """Gives its memory back."""
        atexit.unregister(self.resume)
        self.resume()
        try:
            self.pipe.send(None)
        except (BrokenPipeError, OSError):
            pass
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
