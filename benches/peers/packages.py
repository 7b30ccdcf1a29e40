"""The Debian packages that the comparison uses: installed by root when they are missing, else named."""

import os
import shutil
import subprocess

# Each with a file that shows that it is there.
WANTED = {
    "dovecot-core": "/usr/sbin/dovecot",
    "dovecot-pop3d": "/usr/lib/dovecot/pop3",
    "fetchmail": "/usr/bin/fetchmail",
    "safecat": "/usr/bin/safecat",
    "getmail6": "/usr/bin/getmail",
    "mpop": "/usr/bin/mpop",
    "fdm": "/usr/bin/fdm",
    "strace": "/usr/bin/strace",
    "openssl": "/usr/bin/openssl",
    "e2fsprogs": "/sbin/mkfs.ext4",
}

POLICY = "/usr/sbin/policy-rc.d"


class Missing(Exception):
    """Something that the comparison cannot do without is not installed."""


def missing():
    """The names of the wanted packages that are not there."""
    return [name for name, file in WANTED.items() if not os.path.exists(file)]


def ensure():
    """Sees to it that every package is there."""
    lacking = missing()
    if lacking and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing {' '.join(lacking)}", flush=True)
        install(lacking)
        lacking = missing()
    if lacking:
        raise Missing(f"not installed: {' '.join(lacking)}. Run this as root, or: apt-get install {' '.join(lacking)}")
    if not shutil.which("cc"):
        raise Missing("a C compiler is needed: apt-get install gcc libc6-dev")


def install(names):
    """Installs packages, and lets none of their services start on this machine."""
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0"]
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    made_policy = not os.path.exists(POLICY)
    if made_policy:
        with open(POLICY, "w") as policy:
            policy.write("#!/bin/sh\nexit 101\n")
        os.chmod(POLICY, 0o755)
    try:
        for words in (["update"], ["install", "--yes", "--no-install-recommends", *names]):
            subprocess.run(apt + words, env=environment, stdin=subprocess.DEVNULL, check=True)
    except subprocess.CalledProcessError as error:
        raise Missing(f"apt-get could not install {' '.join(names)}") from error
    finally:
        if made_policy:
            os.unlink(POLICY)


def versions():
    """The versions of the Debian packages, by name."""
    words = ["dpkg-query", "--show", "--showformat=${Package} ${Version}\n", *WANTED]
    listed = subprocess.run(words, capture_output=True, text=True).stdout
    return dict(line.split(" ", 1) for line in listed.splitlines())
