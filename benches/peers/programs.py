"""The programs that are compared: each writes its configuration into a fresh home and says how it is called.

Each one is used as it comes: its own defaults, UIDL, mail delivered to a Maildir. Only what makes it fetch from this
server is set, and what is said in a comment.
"""

import os
import shlex
from dataclasses import dataclass

from dovecot import PASSWORD

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Account:
    """What a program fetches from, and what it does with the mail there."""

    user: str
    port: int
    tls: bool
    ca_file: str
    delete: bool  # after delivery; else it stays on the server
    maildrop: str  # the directory with its messages


class Program:
    """One program with one account in one home."""

    name = ""
    needs_maildir = True  # it does not make one itself
    nothing_new = 0  # its exit status when there was no mail
    delivers = True  # it leaves the messages in its Maildir
    exact = False  # and nothing before them

    def __init__(self, home, account, tools):
        self.home = home
        self.account = account
        self.tools = tools  # the directory of the programs that were built or copied
        self.maildir = self.path("Maildir")

    def path(self, name):
        return os.path.join(self.home, name)

    def prepare(self):
        """Makes the home."""
        os.makedirs(self.home)
        if self.needs_maildir:
            for part in ("cur", "new", "tmp"):
                os.makedirs(os.path.join(self.maildir, part), mode=0o700)
        self.configure()

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)

    def configure(self):
        """Writes its configuration."""

    def remember(self, unique_ids):
        """Makes it know all of the server's messages without fetching them, where fetching them all is too much for
        it; whether that was done. `unique_ids` is to be called for them."""
        return False

    def command(self):
        """The words that make it fetch once."""
        raise NotImplementedError


class Mailferry(Program):
    name = "mailferry"
    needs_maildir = False
    exact = True

    def configure(self):
        account = self.account
        trust = f'tls_ca_file = "{account.ca_file}"\n' if account.tls else ""
        self.write(
            "config.toml",
            f'state_dir = "{self.path("state")}"\n\n[accounts.peers]\nhost = "{HOST}"\nport = {account.port}\n'
            f'tls = "{"implicit" if account.tls else "none"}"\n{trust}username = "{account.user}"\n'
            f'password = "{PASSWORD}"\nmaildir = "{self.maildir}"\n'
            f"leave_on_server = {'false' if account.delete else 'true'}\n",
        )

    def command(self):
        return [os.path.join(self.tools, "mailferry"), "--config", self.path("config.toml"), "fetch"]


class Mpop(Program):
    name = "mpop"

    def configure(self):
        account = self.account
        # In clear it logs in with a password only if it is told how; this way takes the fewest round trips.
        secured = f"tls on\ntls_starttls off\ntls_trust_file {account.ca_file}\n" if account.tls else "auth user\n"
        self.write(
            "mpoprc",
            f"account default\nhost {HOST}\nport {account.port}\n{secured}user {account.user}\npassword {PASSWORD}\n"
            f"keep {'off' if account.delete else 'on'}\ndelivery maildir {self.maildir}\n"
            f"uidls_file {self.path('uidls')}\n",
        )

    def command(self):
        return ["/usr/bin/mpop", "-C", self.path("mpoprc")]


class Fdm(Program):
    name = "fdm"
    needs_maildir = False

    def configure(self):
        account = self.account
        # Its limit of 32 MB for a message is raised to the highest that it allows.
        self.write(
            "fdm.conf",
            f'set lock-file "{self.path("lock")}"\nset maximum-size 1G\n'
            f'action "in" maildir "{self.maildir}"\n'
            f'account "peers" {"pop3s" if account.tls else "pop3"} server "{HOST}" port {account.port}\n'
            f'  user "{account.user}" pass "{PASSWORD}" new-only cache "{self.path("cache")}"'
            f"{'' if account.delete else ' keep'}\n"
            f'match all action "in"\n',
        )

    def command(self):
        return ["/usr/bin/fdm", "-f", self.path("fdm.conf"), "fetch"]


class Getmail(Program):
    """It starts a process for each message, and if that ends before getmail begins to wait for it, getmail waits for as
    long as its timeout says, and then gives up and forgets what it has fetched. The timeout is shortened from 180 s."""

    name = "getmail6"

    def configure(self):
        account = self.account
        kind, trust = ("SimplePOP3SSLRetriever", f"ca_certs = {account.ca_file}\n") if account.tls else (
            "SimplePOP3Retriever", "")
        self.write(
            ".getmail/getmailrc",
            f"[retriever]\ntype = {kind}\nserver = {HOST}\nport = {account.port}\n{trust}username = {account.user}\n"
            f"password = {PASSWORD}\ntimeout = 5\n\n[destination]\ntype = Maildir\npath = {self.maildir}/\n\n"
            f"[options]\nread_all = false\ndelete = {'true' if account.delete else 'false'}\n",
        )

    def remember(self, unique_ids):
        name = f".getmail/oldmail-{HOST}-{self.account.port}-{self.account.user}"
        self.write(name, "".join(f"{unique_id}\0{1_700_000_000}\n" for unique_id in unique_ids()))
        return True

    def command(self):
        return ["/usr/bin/getmail", "--getmaildir", self.path(".getmail")]


class Fetchmail(Program):
    """It delivers through a program that it starts for each message: safecat, the smallest that makes mail durable."""

    name = "fetchmail"
    nothing_new = 1

    def configure(self):
        account = self.account
        # An empty sslproto keeps it from trying STLS in clear. It knows no certificates for addresses.
        secured = "ssl no sslcertck" if account.tls else "sslproto ''"
        deliver = f"/usr/bin/safecat {shlex.quote(self.maildir + '/tmp')} {shlex.quote(self.maildir + '/new')}"
        self.write(
            "fetchmailrc",
            f'set idfile "{self.path("fetchids")}"\nset pidfile "{self.path("pid")}"\n'
            f"poll {HOST} protocol pop3 port {account.port} uidl auth password\n"
            f'  user "{account.user}" password "{PASSWORD}" {"no keep" if account.delete else "keep"} {secured}\n'
            f'  mda "{deliver}"\n',
        )

    def command(self):
        return ["/usr/bin/fetchmail", "-f", self.path("fetchmailrc")]


class Bare(Program):
    """The plainest loop in C, with one fsync for each message: see bare.c."""

    name = "bare"
    needs_maildir = False
    exact = True
    sync = "sync"

    def command(self):
        words = [str(self.account.port), self.account.user, PASSWORD, self.maildir, self.sync]
        return [os.path.join(self.tools, "bare"), *words]


class BareWithoutSync(Bare):
    """The same, writing plain files."""

    name = "bare-no-sync"
    sync = "no-sync"


class Discard(Program):
    """A floor: reads all messages and keeps none. See floor.c."""

    name = "discard"
    needs_maildir = False
    delivers = False

    def command(self):
        return [os.path.join(self.tools, "floor"), "discard", str(self.account.port), self.account.user, PASSWORD]


class Write(Program):
    """A floor: writes and syncs the same files side by side, and talks to no server. See floor.c."""

    name = "write"
    needs_maildir = False
    exact = True
    threads = 16  # as many as mailferry's at most

    def command(self):
        return [os.path.join(self.tools, "floor"), "write", self.account.maildrop, self.maildir, str(self.threads)]


PEERS = (Mpop, Fdm, Getmail, Fetchmail)
ALL = {program.name: program for program in (Mailferry, *PEERS, Bare, BareWithoutSync, Discard, Write)}
