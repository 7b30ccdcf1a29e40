"""Made-up messages. The same seed makes the same messages, so that runs on different days compare."""

import base64
import hashlib
import random

WORDS = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which "
    "one you were her all she there would their we him been has when who will more no if out so said what up its "
    "about into than them can only other new some could time these two may then do first any my now such like our "
    "over man me even most made after also did many before must through back years where much your way well down"
).split()

# A base64 line of 76 characters for every 57 bytes.
LINE = 57


class Message:
    """One message, as a Maildir holds it: lines end with LF."""

    def __init__(self, number, text):
        self.number = number
        self.text = text
        self.digest = hashlib.sha256(text).digest()

    @property
    def on_the_wire(self):
        """Its size with CRLF line ends, as the server reports it."""
        return len(self.text) + self.text.count(b"\n")


def message_id(number, seed):
    return f"<{seed}.{number}@peers.example>"


class Maker:
    """Makes messages with numbers of their own."""

    def __init__(self, seed):
        self.seed = seed
        self.random = random.Random(seed)
        self.made = 0

    def message(self, size):
        """One of about `size` bytes, at least some 300."""
        number, self.made = self.made, self.made + 1
        header = self.header(number)
        room = max(size - len(header), 1)
        body = self.prose(room) if room < 64_000 else self.attachment(room)
        return Message(number, (header + body).encode())

    def messages(self, count, least, most):
        return [self.message(self.random.randint(least, most)) for _ in range(count)]

    def header(self, number):
        second = number % 60
        return (
            f"Received: from mx.example.net (mx.example.net [192.0.2.{number % 250 + 1}])\n"
            f"\tby mail.peers.example; Tue, 14 Nov 2023 22:13:{second:02} +0000\n"
            f"Message-ID: {message_id(number, self.seed)}\n"
            f"Date: Tue, 14 Nov 2023 22:13:{second:02} +0000\n"
            f"From: Ann <ann@example.net>\nTo: Bob <bob@peers.example>\nSubject: Message {number}\n\n"
        )

    def prose(self, size):
        """Lines of words; some begin with dots, so that they are stuffed on the wire."""
        lines, length = [], 0
        while length < size:
            line = " ".join(self.random.choices(WORDS, k=12))
            if self.random.random() < 0.02:
                line = "." * self.random.randint(1, 3) + line
            lines.append(line[: max(size - length - 1, 1)])
            length += len(lines[-1]) + 1
        return "\n".join(lines) + "\n"

    def attachment(self, size):
        """Lines of base64."""
        octets = self.random.randbytes(size * LINE // (LINE // 3 * 4 + 1) // LINE * LINE)
        return base64.encodebytes(octets).decode()

    def shuffled(self, messages):
        self.random.shuffle(messages)
        return messages


def mixed(seed):
    """1,000 messages, 18 MB."""
    maker = Maker(seed)
    return maker.shuffled(
        maker.messages(700, 2_000, 8_000)
        + maker.messages(250, 10_000, 40_000)
        + maker.messages(45, 50_000, 200_000)
        + maker.messages(5, 600_000, 600_000)
    )


def some_mixed(seed):
    """200 messages of the same kinds, 3.6 MB."""
    maker = Maker(seed)
    return maker.shuffled(
        maker.messages(140, 2_000, 8_000)
        + maker.messages(50, 10_000, 40_000)
        + maker.messages(9, 50_000, 200_000)
        + maker.messages(1, 600_000, 600_000)
    )


def small(count):
    return lambda seed: Maker(seed).messages(count, 2_000, 8_000)


def tiny(count):
    return lambda seed: Maker(seed).messages(count, 300, 500)


def one(size):
    return lambda seed: Maker(seed).messages(1, size, size)
