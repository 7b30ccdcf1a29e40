"""Where the fetchers write: a fresh ext4 on a loop device, a directory, or memory."""

import os
import shutil
import subprocess
import tempfile

MEMORY = "/dev/shm"


class Place:
    """A directory to write to that goes when it is left."""

    def __init__(self, directory, described):
        self.path = directory
        self.described = described

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)

    def settle(self):
        """Lets what was written reach the disk, so that nobody pays for who came before."""
        subprocess.run(["sync", "--file-system", self.path])


class Image(Place):
    """A fresh ext4. Its image has no name any more once it is mounted, so the most that can remain is the mount."""

    def __init__(self, directory, files, octets):
        self.mounted = False
        super().__init__(tempfile.mkdtemp(prefix="mailferry-peers-", dir=directory), "a fresh ext4 on a loop device")
        image = self.path + ".image"
        try:
            size = max(1 << 30, 2 * octets, files * 5 // 4 * 16384)
            with open(image, "wb") as file:
                file.truncate(size)
            # Nothing is left for the kernel to initialise later, while somebody is measured.
            lazy = "lazy_itable_init=0,lazy_journal_init=0"
            run("mkfs.ext4", "-q", "-F", "-i", "16384", "-E", lazy, image)
            run("mount", "-o", "loop", image, self.path)
            self.mounted = True
            os.unlink(image)
        except (OSError, NotPossible):
            self.__exit__()
            if os.path.exists(image):
                os.unlink(image)
            raise
        os.chmod(self.path, 0o755)

    def __exit__(self, *_):
        if self.mounted and subprocess.run(["umount", self.path]).returncode != 0:
            subprocess.run(["umount", "--lazy", self.path])
        super().__exit__()


class NotPossible(Exception):
    """A disk image cannot be made here."""


def run(*words):
    ended = subprocess.run(words, capture_output=True, text=True)
    if ended.returncode != 0:
        raise NotPossible(f"{words[0]}: {ended.stderr.strip()}")


def directory(parent):
    """A directory on whatever file system `parent` is on."""
    path = tempfile.mkdtemp(prefix="mailferry-peers-", dir=parent)
    os.chmod(path, 0o755)
    kind = subprocess.run(["stat", "--file-system", "--format=%T", path], capture_output=True, text=True).stdout.strip()
    return Place(path, f"a directory on {kind}")


def fresh(parent, files, octets):
    """A fresh file system with room for so much, if one can be made; else a directory, and a line that says so."""
    try:
        if os.geteuid() != 0:
            raise NotPossible("only root can")
        return Image(parent, files, octets)
    except (OSError, NotPossible) as error:
        print(f"No fresh file system can be made ({error}): the disk is used as it is, and a used disk drifts.")
        return directory(parent)
