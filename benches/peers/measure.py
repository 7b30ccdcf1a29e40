"""Runs a program once and says what it used, or why the run does not count."""

import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass

import check

# What is reported of a run, with its unit.
FIGURES = {"wall": "s", "cpu": "s", "peak": "MiB"}

# The programs that fetch run as this user if root starts the comparison: some refuse to deliver as root.
FETCHER = "mail"

SYNCS = "fsync,fdatasync,sync_file_range,syncfs,sync,msync"


class Failed(Exception):
    """A run without figures."""


@dataclass(frozen=True)
class Used:
    """What a run used."""

    wall: float  # s
    user: float  # s
    system: float  # s
    peak: float  # MiB, of the largest of its processes

    @property
    def cpu(self):
        return self.user + self.system


class Runner:
    """Starts programs, as an ordinary user."""

    def __init__(self, directory):
        self.dir = directory  # in memory; the programs' temporary files go there too
        self.tools = os.path.join(directory, "tools")
        self.tmp = os.path.join(directory, "tmp")
        os.mkdir(self.tools)
        os.mkdir(self.tmp)
        fetcher = pwd.getpwnam(FETCHER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self.owner = fetcher.pw_uid, fetcher.pw_gid
        self.name = fetcher.pw_name
        self.give_away(self.tmp)
        self.running = None

    def give_away(self, path):
        """Makes a tree the fetchers' own."""
        if os.geteuid() != 0:
            return
        os.chown(path, *self.owner)
        for base, dirs, files in os.walk(path):
            for name in dirs + files:
                os.lchown(os.path.join(base, name), *self.owner)

    def prepare(self, program):
        program.prepare()
        self.give_away(program.home)

    def run(self, program, limit_s, fetches, trace=None):
        """Lets a program fetch once; `fetches` says whether there is anything new. With `trace`, a file for strace to
        count calls into, which slows it down."""
        words = program.command()
        if trace:
            words = ["/usr/bin/strace", "-f", "--seccomp-bpf", "-c", "-e", "trace=" + SYNCS, "-o", trace, *words]
        report = os.path.join(self.dir, "report")
        output = os.path.join(self.dir, "output")
        with open(output, "wb") as file:
            launch = [os.path.join(self.tools, "launch"), str(limit_s), report, *map(str, self.owner), *words]
            self.running = subprocess.Popen(
                launch, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=self.environment(program), cwd="/",
                start_new_session=True)
            self.running.wait()
        if self.running.returncode != 0:
            raise Failed("it could not be started")
        with open(report) as file:
            wall, user, system, peak, status = map(int, file.read().split())
        if status == -1:
            raise Failed(f"not done after {limit_s} s")
        if status != (0 if fetches else program.nothing_new):
            raise Failed(f"status {status}: {last_words(output)}")
        return Used(wall / 1e6, user / 1e6, system / 1e6, peak / 1024)

    def environment(self, program):
        return {
            "HOME": program.home, "USER": self.name, "LOGNAME": self.name, "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8", "TMPDIR": self.tmp,
        }

    def stop(self):
        """Ends what is still running."""
        if self.running and self.running.poll() is None:
            self.running.terminate()
            self.running.wait()

    def syncs(self, program, limit_s):
        """How many syncing calls a program makes, all kinds together."""
        trace = os.path.join(self.tmp, "trace")
        self.run(program, limit_s, True, trace)
        with open(trace) as file:
            counted = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(?!total)\w+$", file.read(), re.M)
        os.unlink(trace)
        return sum(map(int, counted))


def last_words(output):
    """What a program printed about an error, else its last line."""
    with open(output, "rb") as file:
        lines = file.read().decode(errors="replace").strip().splitlines()
    errors = [line for line in lines if "error" in line.lower()]
    line = (errors or lines or ["it said nothing"])[-1].strip()
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def confirm(program, messages, left):
    """Raises unless a program has delivered every message, and the server holds what it should: it has `left`."""
    problem = check.delivered(program.maildir, messages, program.exact) if program.delivers else None
    if problem:
        raise Failed(problem)
    expected = 0 if program.account.delete else len(messages)
    if left != expected:
        raise Failed(f"{left} messages on the server instead of {expected}")


def copy_binary(source, tools):
    """A copy that the fetchers' user can reach, and that a build meanwhile does not change."""
    target = os.path.join(tools, "mailferry")
    shutil.copyfile(source, target)
    os.chmod(target, 0o755)
