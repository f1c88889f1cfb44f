"""How strongly a host can isolate student code; found by trying, strongest first, and part of every result.

    namespaces    one bubblewrap; every submission forks into namespaces of its own
    bubblewrap    one bubblewrap for every submission, where nested namespaces are forbidden
    user          a user of its own, for a judge who is root where namespaces are forbidden
    landlock      the judge's own user, closed in by Landlock with scopes (version 6) and the filter alone
    none          no isolation at all; only on explicit request

At every level but the last a filter of system calls and Landlock's restriction of paths are added where the
kernel has them, and around bubblewrap a control group where the host delegates one (`cgroup.py`).
"""

LEVELS = ("namespaces", "bubblewrap", "user", "landlock", "none")
WITHOUT_BUBBLEWRAP = ("user", "landlock", "none")
OUTSIDE = ("user", "landlock")
"""Where nothing is mounted: permissions and Landlock decide what can be reached, and scratch is a folder here."""
LANDLOCK_WITH_SCOPES = 6
WALLS = ("seccomp", "landlock", "cgroup")


class NoIsolation(RuntimeError):
    """This host cannot isolate student code as required; the message says what to install."""
