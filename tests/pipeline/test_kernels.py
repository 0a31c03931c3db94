"""Kernels and workers: forked or fresh, isolated, mortal, and gone afterwards."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rfm.errors import RfmError, SettingsError
from rfm.pipeline import kernels, warm
from rfm.pipeline.notebooks import skip_slow_import

skip_slow_import()

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="forked kernels are for Linux"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:nbclient"),
]
ROOT = Path(kernels.__file__).parents[2]
SMALL = ("numpy", "pandas", "matplotlib.pyplot")


@pytest.fixture(scope="module")
def forked():
    """Kernels that are forked from one warm process for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RFM_KERNELS", "forked")
        patch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        with kernels.warm_kernels(SMALL, ()) as one:
            yield one


def run(given, *sources, parameters=None, last=True, **options):
    """Run cells as a notebook and return it."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=cells)
    with given.kernel(last) as arguments:
        return papermill.execute_notebook(notebook, None, parameters, progress_bar=False, **arguments, **options)


def printed(notebook):
    """Return what the last cell printed."""
    streams = [output.text for output in notebook.cells[-1].outputs if output.output_type == "stream"]
    return "".join(streams).strip()


def gone(pid):
    """Whether a process has ended, waiting up to a minute for it (a zombie has)."""
    for _ in range(1200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def test_parameters_reach_the_notebook(forked):
    notebook = run(forked, "day = 'none'", "print(day)", parameters={"day": "2026-01-15"})
    assert printed(notebook) == "2026-01-15"


def test_a_kernel_is_a_fork_of_the_warm_process(forked):
    notebook = run(forked, "import os, sys", "print(os.getppid(), 'pandas' in sys.modules, sys.argv[0])")
    parent, has_pandas, name = printed(notebook).split()
    assert int(parent) == forked.warm._process.pid
    assert (has_pandas, name) == ("True", "ipykernel_launcher")


def test_notebooks_share_no_state(forked):
    run(forked, "import numpy, os; found = 1; numpy.found = 1; os.environ['FOUND'] = '1'; os.chdir('/')")
    check = "print('found' in globals(), hasattr(numpy, 'found'), 'FOUND' in os.environ, os.getcwd() == '/')"
    assert printed(run(forked, f"import numpy, os; {check}")) == "False False False False"


def test_a_launch_sees_its_own_environment_and_directory(forked, tmp_path, monkeypatch):
    monkeypatch.setenv("RFM_SHOP", "gifts")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    source = "print(os.getcwd(), os.environ['RFM_SHOP'], time.tzname[0], os.getpgid(0) == os.getpid())"
    with contextlib.chdir(tmp_path):
        assert printed(run(forked, f"import os, time; {source}")) == f"{tmp_path} gifts JST True"


def test_random_numbers_differ(forked):
    source = "import numpy, random; print(numpy.random.rand(), random.random())"
    first, second = printed(run(forked, source)).split(), printed(run(forked, source)).split()
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_stdin_is_empty(forked):
    assert printed(run(forked, "import os; print(os.read(0, 10))")) == "b''"


def test_a_failing_cell_stops_one_notebook_only(forked):
    with pytest.raises(papermill.PapermillExecutionError, match="ZeroDivisionError"):
        run(forked, "1 / 0")
    assert printed(run(forked, "print('next')")) == "next"


@pytest.mark.parametrize("death", ["os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_a_dead_kernel_is_an_error_at_once(forked, death):
    start = time.monotonic()
    with pytest.raises(DeadKernelError):
        run(forked, f"import os; {death}", execution_timeout=600)
    assert time.monotonic() - start < 300, "it was noticed when the cell's time was over"
    assert printed(run(forked, "print('next')")) == "next"


def test_a_timeout_ends_the_kernel_and_its_children(forked, tmp_path):
    pids = tmp_path / "pids"
    start = "import os, pathlib, subprocess; child = subprocess.Popen(['sleep', '600'])"
    note = f"pathlib.Path({str(pids)!r}).write_text(f'{{os.getpid()}} {{child.pid}}')"
    for seconds in (1, 10, 100):  # a busy machine may need more than one for the first cells
        with pytest.raises(CellTimeoutError):
            run(forked, start, note, "import time; time.sleep(600)", execution_timeout=seconds)
        if pids.exists():
            break
    assert all(gone(int(pid)) for pid in pids.read_text().split())


@pytest.mark.parametrize(("end", "code"), [("raise SystemExit(5)", 5), ("os._exit(3)", 3), ("os.kill(os.getpid(), 9)", -9)])
def test_exit_codes_are_those_of_the_process(monkeypatch, tmp_path, end, code):
    no_kernel = f"import os; from rfm.pipeline import warm; warm._become_kernel = lambda: exec({end!r}); serve()"
    monkeypatch.setattr(warm, "BOOT", warm.BOOT.replace("serve()", no_kernel))
    one = warm.WarmProcess((), (), str(tmp_path))
    kernel = one.fork({"env": dict(os.environ), "cwd": str(tmp_path)})
    assert (kernel.wait(), kernel.poll(), kernel.returncode) == (code, code, code)
    one.close()


def test_interrupt_reaches_the_kernel(forked):
    source = (
        "import os, signal, time\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT); time.sleep(600)\n"
        "except KeyboardInterrupt:\n    print('interrupted')"
    )
    assert printed(run(forked, source)) == "interrupted"


def test_hooks_at_exit_run(forked, tmp_path):
    mark = tmp_path / "mark"
    register = f"import atexit, os, pathlib; atexit.register(pathlib.Path({str(mark)!r}).write_text, 'bye')"
    assert gone(int(printed(run(forked, register, "print(os.getpid())"))))
    assert mark.read_text() == "bye"


@pytest.mark.whole
def test_fresh_kernels_give_the_same_outputs(forked, monkeypatch):
    sources = (
        "import matplotlib.pyplot as plt, pandas as pd, plotly.graph_objects as go",
        "plt.plot([1, 2]); plt.show()",
        "plt.plot([2, 1]);",
        "display(pd.DataFrame({'Recency': [1, 30]}))",
        "go.Figure(go.Scatter(y=[1, 2])).show(renderer='plotly_mimetype')",
        "print(plt.get_backend())",
    )
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.setenv("RFM_KERNELS", "fresh")
    with kernels.warm_kernels(SMALL) as fresh:
        assert fresh.warm is None
        expected = run(fresh, *sources)
    found = run(forked, *sources)
    for cell, other in zip(expected.cells, found.cells, strict=True):
        assert cell.outputs == other.outputs
    kinds = [key for cell in found.cells for output in cell.outputs for key in output.get("data", {})]
    assert kinds.count("image/png") == 2
    assert {"text/html", "application/vnd.plotly.v1+json"} <= set(kinds)


def test_a_kernelspec_of_the_user_is_ignored(forked, tmp_path, monkeypatch):
    spec = tmp_path / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text('{"argv": ["false"], "display_name": "Other", "language": "python"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    assert printed(run(forked, "import sys; print(sys.executable)")) == sys.executable


def run_often(given):
    """Run notebooks until what is imported between two of them has been tried."""
    for _ in range(100):
        run(given, "1")


def test_a_missing_module_is_named(monkeypatch):
    monkeypatch.setenv("RFM_KERNELS", "forked")
    with kernels.warm_kernels(["no_such_module"]) as missing, pytest.raises(RfmError, match="no_such_module"):
        run(missing, "1")
    with kernels.warm_kernels((), ["no_such_module"]) as late:
        run(late, "1")
        with pytest.raises(RfmError, match="no_such_module"):
            run_often(late)


def test_nothing_is_left_afterwards(monkeypatch):
    monkeypatch.setenv("RFM_KERNELS", "forked")
    with kernels.warm_kernels((), ()) as given:
        ended = int(printed(run(given, "import os; print(os.getpid())")))
        assert gone(ended)
        asleep = int(printed(run(given, "import os; print(os.getpid())", last=False)))
        assert given.folder.stat().st_mode & 0o077 == 0
        spare = given._spare.provisioner.process
        running = given.warm.fork({"argv": ["-f", str(given.folder / "k.json")], "env": dict(os.environ), "cwd": "/"})
        assert running.poll() is None
    assert gone(asleep)
    assert gone(running.pid)
    assert gone(spare.pid)
    assert running.poll() == -signal.SIGKILL
    assert gone(given.warm._process.pid)
    assert not given.folder.exists()


def test_the_next_kernel_is_there_before_its_notebook(forked):
    first = printed(run(forked, "import os; print(os.getpid())", last=False))
    spare = str(forked._spare.provisioner.process.pid)
    assert spare == printed(run(forked, "import os; print(os.getpid())")) != first
    assert forked._spare is None


def test_a_failed_notebook_leaves_no_kernel_ahead(forked):
    with pytest.raises(papermill.PapermillExecutionError):
        run(forked, "1 / 0", last=False)
    assert forked._spare is None


def test_a_killed_caller_takes_everything_along(tmp_path):
    script = (
        "import os, time\nfrom rfm.pipeline import kernels\n"
        "with kernels.warm_kernels((), ()) as given:\n"
        "    request = {'argv': ['-f', str(given.folder / 'k')], 'env': dict(os.environ), 'cwd': '/'}\n"
        "    kernel = given.warm.fork(request)\n"
        "    print(given.warm._process.pid, kernel.pid, given.folder, flush=True); time.sleep(600)\n"
    )
    environment = {**os.environ, "RFM_KERNELS": "forked", "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as caller:
        process, kernel, folder = caller.stdout.readline().split()
        caller.kill()
    assert gone(int(process))
    assert gone(int(kernel))
    assert not Path(folder).exists()


def test_a_killed_warm_process_is_an_error(monkeypatch):
    monkeypatch.setenv("RFM_KERNELS", "forked")
    with kernels.warm_kernels((), ()) as given:
        run(given, "1")
        given.warm._process.kill()
        given.warm._process.wait()
        with pytest.raises(RfmError, match="died"):
            given.warm.fork({"argv": [], "env": {}, "cwd": "/"})


def test_a_warm_process_killed_while_it_imports_is_an_error(monkeypatch):
    monkeypatch.setenv("RFM_KERNELS", "forked")
    with kernels.warm_kernels() as given:
        given.warm._process.kill()
        with pytest.raises(RfmError, match="died"):
            run(given, "1")


@pytest.mark.whole
def test_imports_leave_the_warm_process_alone():
    """No thread may exist when the warm process forks, but the one of polars that deletes spilled files."""
    source = (
        "import os; from rfm.pipeline import warm; warm.skip_slow_import()\n"
        "for name in (*warm.KERNEL_IMPORTS, *warm.WARM_IMPORTS, *warm.LATER_IMPORTS): warm._load(name)\n"
        "tasks = [task for task in os.listdir('/proc/self/task') if int(task) != os.getpid()]\n"
        "print(*[open(f'/proc/self/task/{task}/comm').read().strip() for task in tasks])"
    )
    environment = {**os.environ, **warm.ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", source]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    assert set(ended.stdout.split()) <= {"polars-ooc-clea"}


# ── a worker beside the notebooks ──────────────────────────────────────────────────────────────────
@pytest.fixture(params=kernels.MODES)
def either(request, monkeypatch):
    """Kernels of either mode."""
    monkeypatch.setenv("RFM_KERNELS", request.param)
    with kernels.warm_kernels((), ()) as one:
        yield one


def test_a_worker_keeps_what_it_is_told_and_answers(either):
    with either.worker("collections:Counter", "abba") as worker:
        worker.tell("update", "b")
        assert worker.ask("most_common", 1) == [("b", 3)]


def test_an_error_in_a_worker_reaches_the_run(either):
    with either.worker("collections:Counter", "abba") as worker:
        worker.tell("no_such_method")  # nobody waits for it
        with pytest.raises(KeyError, match="nobody"):
            worker.ask("pop", "nobody")
        assert worker.ask("total") == 4


def test_a_worker_that_cannot_begin_says_so(either):
    with either.worker("collections:deque", 1, 2, 3) as worker, pytest.raises(TypeError, match="at most 2"):
        worker.ask("clear")


def test_a_worker_has_folder_and_environment_of_the_run(forked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANTED", "seen")
    with forked.worker("subprocess:Popen", ["sh", "-c", 'pwd > "$WANTED"']) as worker:
        assert worker.ask("wait") == 0
    assert (tmp_path / "seen").read_text().strip() == str(tmp_path)


def test_a_killed_worker_is_an_error_with_a_remedy(forked):
    kill_parent = ["sh", "-c", "kill -9 $PPID"]
    with forked.worker("subprocess:Popen", kill_parent) as worker, pytest.raises(RfmError, match="RFM_KERNELS=fresh"):
        worker.ask("wait")


def test_a_worker_and_its_children_end_with_the_run(forked):
    with forked.worker("subprocess:Popen", ["sleep", "600"]) as worker:
        pid = worker.ask("__getattribute__", "pid")
    assert gone(pid)


@pytest.mark.parametrize(
    ("environ", "platform", "mode"),
    [
        ({}, "linux", "forked"),
        ({}, "darwin", "fresh"),
        ({}, "win32", "fresh"),
        ({"RFM_KERNELS": "fresh"}, "linux", "fresh"),
        ({"RFM_KERNELS": "forked"}, "darwin", "forked"),
    ],
)
def test_mode(environ, platform, mode):
    assert kernels._mode(environ, platform) == mode


def test_an_unknown_mode_is_refused():
    with pytest.raises(SettingsError, match="forked or fresh"):
        kernels._mode({"RFM_KERNELS": "quick"}, "linux")


def test_skip_slow_import_leaves_a_loaded_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "rfc3987_syntax", random)
    skip_slow_import()
    assert sys.modules["rfc3987_syntax"] is random
