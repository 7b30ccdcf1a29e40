"""Whether a program has delivered what it should: every message, once, with every byte."""

import hashlib
import os
import re

# What a program may put before a message: headers of its own.
MOST_ADDED = 4096

MESSAGE_ID = re.compile(rb"^Message-ID: <\w+\.(\d+)@peers\.example>$", re.MULTILINE)
HEADER_LINES = re.compile(rb"(?:[!-9;-~]+:.*\n(?:[ \t].*\n)*)*\Z")


def delivered(maildir, messages, exact):
    """What is wrong with a Maildir that should hold these messages, or None. Unless `exact`, a message may have more
    headers before its own."""
    found = [os.path.join(maildir, part, name) for part in ("new", "cur") for name in listed(maildir, part)]
    remains = listed(maildir, "tmp")
    if remains:
        return f"{len(remains)} files are left in tmp/"
    expected = {message.number: message for message in messages}
    for path in found:
        number, problem = compare(path, expected, exact)
        if problem:
            return f"{os.path.basename(path)}: {problem}"
        del expected[number]
    if expected:
        return f"{len(expected)} of {len(messages)} messages are missing"
    return None


def count(maildir):
    """How many messages a Maildir holds."""
    return len(listed(maildir, "new")) + len(listed(maildir, "cur"))


def listed(maildir, part):
    try:
        return os.listdir(os.path.join(maildir, part))
    except FileNotFoundError:
        return []


def compare(path, expected, exact):
    """The number of the message in a file, and what is wrong with it."""
    with open(path, "rb") as file:
        head = file.read(2 * MOST_ADDED)
        match = MESSAGE_ID.search(head)
        message = expected.get(int(match[1])) if match else None
        if message is None:
            return None, "not one of ours, or there twice"
        added = os.fstat(file.fileno()).st_size - len(message.text)
        if not 0 <= added <= (0 if exact else MOST_ADDED):
            return message.number, f"{added:+} bytes"
        if not HEADER_LINES.match(head[:added]):
            return message.number, "it begins with something that is no header"
        file.seek(added)
        if hashlib.file_digest(file, "sha256").digest() != message.digest:
            return message.number, "other bytes"
    return message.number, None
