"""Measures rows: who runs when, on what, and what is kept."""

import os
from dataclasses import dataclass, field

import check
import disk
import measure
import programs
from tools import Proxy


@dataclass
class Result:
    """What came of a row."""

    row: object
    storage: str = ""  # in words
    load: tuple = ()  # the load average before and after
    runs: dict = field(default_factory=dict)  # name -> one Used, or None for a run that does not count, each round
    syncs: dict = field(default_factory=dict)  # name -> calls
    failures: dict = field(default_factory=dict)  # name -> the reasons

    def used(self, name):
        return [used for used in self.runs.get(name, []) if used]


class Comparison:
    """Everything that the rows share."""

    def __init__(self, options, runner, dovecot, parent):
        self.options = options
        self.runner = runner
        self.dovecot = dovecot
        self.parent = parent  # the directory for images
        self.users = 0

    def measure(self, row):
        """Measures one row."""
        names = [name for name in ("mailferry", *row.others) if name in self.options.programs]
        messages = row.messages(self.options.seed)
        self.dovecot.template(row.name, messages)
        port = self.dovecot.tls if row.tls else self.dovecot.clear
        proxy = None
        try:
            if row.rtt_ms:
                proxy = Proxy(os.path.join(self.runner.tools, "proxy"), port, row.rtt_ms, self.options.connect_rtt)
                port = proxy.port
            with self.place(row, names, messages) as place:
                turn = Turn(self, row, messages, port, place)
                return turn.measure(names)
        finally:
            self.runner.stop()
            if proxy:
                proxy.stop()
            self.dovecot.remove_template(row.name)

    def place(self, row, names, messages):
        """Where the fetchers write in this row."""
        if row.storage == "memory" or self.options.storage == "tmpfs":
            return disk.directory(disk.MEMORY)
        times = len(names) * ((1 if row.again else self.options.rounds) + row.count_fsyncs)
        octets = sum(len(message.text) + 4096 for message in messages)
        return disk.fresh(self.parent, times * len(messages), times * octets)

    def new_user(self, template):
        self.users += 1
        name = f"user{self.users}"
        self.dovecot.add_user(name, template)
        return name


class Turn:
    """One row being measured."""

    def __init__(self, comparison, row, messages, port, place):
        self.comparison, self.row, self.messages, self.port, self.place = comparison, row, messages, port, place
        self.runner, self.dovecot = comparison.runner, comparison.dovecot
        self.result = Result(row, place.described)

    def measure(self, names):
        before = os.getloadavg()[0]
        waiting = self.fetch_before(names) if self.row.again else {}
        if self.row.count_fsyncs:
            for name in names:
                self.count_syncs(name)
        for number in range(self.comparison.options.rounds):
            shift = number % len(names)
            for name in names[shift:] + names[:shift]:
                self.run(name, number, waiting.get(name))
        self.result.load = before, os.getloadavg()[0]
        return self.result

    def program(self, name, label):
        """A program with a user and a home of its own."""
        user = self.comparison.new_user(self.row.name)
        maildrop = self.dovecot.maildrop(user)
        account = programs.Account(user, self.port, self.row.tls, self.dovecot.ca_file, self.row.delete, maildrop)
        program = programs.ALL[name](os.path.join(self.place.path, f"{name}-{label}"), account, self.runner.tools)
        self.runner.prepare(program)
        self.place.settle()
        return program

    def fail(self, name, reason):
        print(f"  {name}: FAILED: {reason}", flush=True)
        self.result.failures.setdefault(name, []).append(str(reason))

    def fetch_before(self, names):
        """Lets each program fetch everything, and find nothing new once, un-timed."""
        ready = {}
        for name in names:
            program = self.program(name, "kept")
            try:
                if not program.remember(lambda: self.dovecot.unique_ids(program.account.user)):
                    self.runner.run(program, self.row.limit_s, True)
                    self.confirm(program)
                self.runner.give_away(program.home)
                self.run_again(program)
                ready[name] = program
            except measure.Failed as error:
                self.fail(name, f"fetching what is to be kept: {error}")
        return ready

    def count_syncs(self, name):
        """One run more, under strace, un-timed."""
        program = self.program(name, "traced")
        try:
            syncs = self.runner.syncs(program, self.row.limit_s)
            self.confirm(program)
            self.result.syncs[name] = syncs
        except measure.Failed as error:
            self.fail(name, f"under strace: {error}")
        self.dovecot.remove_user(program.account.user)

    def run(self, name, number, waiting):
        """One measured run."""
        runs = self.result.runs.setdefault(name, [])
        if self.row.again and not waiting:
            runs.append(None)
            return
        program = waiting or self.program(name, number)
        try:
            used = self.run_again(program) if waiting else self.run_anew(program)
            runs.append(used)
            print(f"  round {number + 1}: {name} {used.wall:.3f} s", flush=True)
        except measure.Failed as error:
            runs.append(None)
            self.fail(name, error)
        if not waiting:
            self.dovecot.remove_user(program.account.user)

    def run_anew(self, program):
        """Everything is new."""
        used = self.runner.run(program, self.row.limit_s, True)
        self.confirm(program)
        return used

    def run_again(self, program):
        """Nothing is new."""
        before = check.count(program.maildir)
        used = self.runner.run(program, self.row.limit_s, False)
        after = check.count(program.maildir)
        if after != before:
            raise measure.Failed(f"{after - before} messages were fetched again")
        return used

    def confirm(self, program):
        """Raises unless every message is where it should be."""
        self.place.settle()
        measure.confirm(program, self.messages, self.dovecot.left(program.account.user))
