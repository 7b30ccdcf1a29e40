"""The small C programs beside this file: built when the comparison starts."""

import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


def build(directory):
    """Builds them into a directory."""
    for name in ("launch", "proxy", "bare", "floor"):
        source, target = os.path.join(HERE, name + ".c"), os.path.join(directory, name)
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-pthread", "-o", target, source], check=True)


class Proxy:
    """A longer way to a port: see proxy.c."""

    def __init__(self, program, port, rtt_ms, connect_rtt):
        words = [program, str(port), str(round(rtt_ms * 1000)), "1" if connect_rtt else "0"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.port = int(self.process.stdout.readline())

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
