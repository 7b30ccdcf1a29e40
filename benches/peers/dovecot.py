"""A real Dovecot on loopback, with its mail in memory, so that only the fetchers use the disk."""

import grp
import os
import pwd
import random
import shutil
import socket
import subprocess
import time

PROGRAM = "/usr/sbin/dovecot"
PASSWORD = "a-password-of-the-comparison"
GREETING = "Dovecot of the comparison"
# The owner of the mail when root runs this: nobody and nogroup, of every Debian.
MAIL_OWNER = 65534

# Ends Dovecot and removes its directory when the pipe to this process closes, however this process ends.
KEEPER = '"$1" -F -c "$2/dovecot.conf" </dev/null & d=$!; cat >/dev/null; kill $d; wait $d; rm -rf "$2"'

# The limits are far above what is used here, so that it never makes a fetcher wait; the processes stay, so that a
# session does not measure how fast the machine forks.
CONFIGURATION = """
{users}
protocols = pop3
listen = 127.0.0.1
login_greeting = {greeting}
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/log
ssl = yes
ssl_cert = <{dir}/cert.pem
ssl_key = <{dir}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
mail_max_userip_connections = 1000
first_valid_uid = 1
mail_location = maildir:~/Maildir
mail_fsync = never
pop3_no_flag_updates = yes
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = home={dir}/mail/%u
}}
service pop3-login {{
  chroot =
  service_count = 0
  process_min_avail = 2
  process_limit = 200
  inet_listener pop3 {{
    port = {clear}
  }}
  inet_listener pop3s {{
    port = {tls}
    ssl = yes
  }}
}}
service pop3 {{
  service_count = 0
  process_min_avail = 2
  process_limit = 200
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


class Failed(Exception):
    """Dovecot does not do what it should."""


class Dovecot:
    """A running Dovecot."""

    def __init__(self, directory):
        self.dir = directory
        self.templates = {}
        os.makedirs(os.path.join(directory, "mail"))
        os.chmod(directory, 0o755)  # its own users must get through to their sockets and to the mail
        self.version = self._version()
        self.ca_file = make_certificate(directory)
        self._start()

    @staticmethod
    def _version():
        version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True).stdout.strip()
        if not version.startswith("2.3."):
            raise Failed(f"Dovecot {version} has another configuration than the 2.3 that is known here")
        return version

    def _start(self):
        self.clear, self.tls = free_port(), free_port()
        settings = dict(dir=self.dir, greeting=GREETING, password=PASSWORD, clear=self.clear, tls=self.tls)
        with open(os.path.join(self.dir, "dovecot.conf"), "w") as file:
            file.write(CONFIGURATION.format(users=owners(), **settings))
        output = open(os.path.join(self.dir, "output"), "w")
        self.keeper = subprocess.Popen(
            ["sh", "-c", KEEPER, "sh", PROGRAM, self.dir],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # an interrupt from the keyboard is for us; we end it
        )
        self._wait_until_ready()

    def _wait_until_ready(self):
        """It does not say when it is ready."""
        for _ in range(500):
            try:
                with Session(self.clear):
                    return
            except (OSError, Failed):
                time.sleep(0.02)
        said = [open(os.path.join(self.dir, name)).read() for name in ("output", "log") if self._has(name)]
        self.stop()
        raise Failed("Dovecot does not start: " + "".join(said))

    def _has(self, name):
        return os.path.exists(os.path.join(self.dir, name))

    def stop(self):
        if self.keeper.stdin:
            self.keeper.stdin.close()
        self.keeper.wait()

    def template(self, name, messages):
        """Stores messages that any number of users get."""
        directory = os.path.join(self.dir, "templates", name)
        os.makedirs(directory)
        for message in messages:
            size = f"S={len(message.text)},W={message.on_the_wire}"  # saves Dovecot reading them all for their sizes
            path = os.path.join(directory, f"{1_700_000_000 + message.number}.M{message.number}.peers,{size}:2,")
            with open(path, "wb") as file:
                file.write(message.text)
            give_away(path)

    def add_user(self, name, template):
        """A user whose messages are those of a template: links to the same files, which Dovecot never writes to."""
        home = os.path.join(self.dir, "mail", name)
        for part in ("", "Maildir", "Maildir/cur", "Maildir/new", "Maildir/tmp"):
            os.mkdir(os.path.join(home, part))
            give_away(os.path.join(home, part))
        source, target = os.path.join(self.dir, "templates", template), os.path.join(home, "Maildir", "cur")
        for file in os.listdir(source):
            os.link(os.path.join(source, file), os.path.join(target, file))
        # Dovecot makes its index now, and not while somebody is measured.
        with Session(self.clear) as session:
            session.log_in(name)
            session.ask_for_lines("UIDL")
            session.ask_for_lines("LIST")
            session.ask("QUIT")

    def unique_ids(self, name):
        """The unique-ids of a user's messages."""
        with Session(self.clear) as session:
            session.log_in(name)
            return [line.split()[1].decode() for line in session.ask_for_lines("UIDL")]

    def maildrop(self, name):
        """Where a user's messages are."""
        return os.path.join(self.dir, "mail", name, "Maildir", "cur")

    def left(self, name):
        """How many messages a user has."""
        maildir = os.path.dirname(self.maildrop(name))
        return sum(len(os.listdir(os.path.join(maildir, part))) for part in ("cur", "new"))

    def remove_user(self, name):
        shutil.rmtree(os.path.join(self.dir, "mail", name), ignore_errors=True)

    def remove_template(self, name):
        shutil.rmtree(os.path.join(self.dir, "templates", name), ignore_errors=True)


class Session:
    """A POP3 session of our own, to prepare with."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rwb")
        self._answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def _answer(self):
        line = self.file.readline()
        if not line.startswith(b"+OK"):
            raise Failed(f"Dovecot said {line!r}")

    def ask(self, command):
        self.file.write(command.encode() + b"\r\n")
        self.file.flush()
        self._answer()

    def ask_for_lines(self, command):
        self.ask(command)
        return list(iter(self.file.readline, b".\r\n"))

    def log_in(self, user):
        self.ask(f"USER {user}")
        self.ask(f"PASS {PASSWORD}")


def free_port():
    """A port that is free now, outside the range that the kernel hands out for port 0."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def owners():
    """Who Dovecot's processes run as."""
    if os.geteuid() == 0:
        return f"mail_uid = {MAIL_OWNER}\nmail_gid = {MAIL_OWNER}"
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    return (
        f"default_internal_user = {user}\ndefault_login_user = {user}\ndefault_internal_group = {group}\n"
        f"mail_uid = {user}\nmail_gid = {group}"
    )


def give_away(path):
    """Makes a file the mail owner's, which takes root."""
    if os.geteuid() == 0:
        os.chown(path, MAIL_OWNER, MAIL_OWNER)


def make_certificate(directory):
    """Makes a certificate for 127.0.0.1 and localhost, signed by an authority of its own; the authority's file."""

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *new_key, "-keyout", "ca-key.pem", "-out", "ca.pem", "-days", "30", "-subj", "/CN=Peers CA")
    openssl("req", "-new", *new_key, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=localhost")
    with open(os.path.join(directory, "extensions"), "w") as file:
        file.write(
            "basicConstraints = critical,CA:FALSE\nkeyUsage = digitalSignature\nextendedKeyUsage = serverAuth\n"
            "subjectAltName = DNS:localhost,IP:127.0.0.1\n"
        )
    signed = ["-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "30", "-extfile", "extensions"]
    openssl("x509", "-req", "-in", "request.pem", *signed, "-out", "cert.pem")
    return os.path.join(directory, "ca.pem")
