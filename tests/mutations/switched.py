"""All that can be taken out, in one build: each function that loses something gets a second body, behind a switch.

The switch is a number in a file of the tree, so that it also reaches a program that a test starts without an
environment. What lies outside of functions, or does not compile in this form, is built alone.
"""

import re

# Where the number stands, in the tree.
SWITCH = "taken-out"

MODULE = '''
/// Which step is taken out of this build.
pub(crate) mod taken_out {
    /// Whether it is this one.
    pub(crate) fn is(number: usize) -> bool {
        static CHOSEN: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
        let read = || std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/SWITCH")).ok()?.trim().parse().ok();
        *CHOSEN.get_or_init(|| read().unwrap_or(0)) == number
    }
}
'''.replace("SWITCH", SWITCH)

FUNCTION = re.compile(r"^( *)(?:pub(?:\([a-z: ]+\))? )?(?:async )?fn \w+")
BRANCH = re.compile(r"if crate::taken_out::is\((\d+)\)")


class Function:
    """A function in a file whose lines rustfmt has set: its indentation tells where it ends."""

    def __init__(self, lines, start):
        indent = FUNCTION.match(lines[start]).group(1)
        self.body = next(at for at in range(start, len(lines)) if lines[at].endswith("{")) + 1
        self.end = next(at for at in range(self.body, len(lines)) if lines[at] == indent + "}")


def enclosing(text, old):
    """The innermost function that holds all of a text, or None."""
    lines = text.split("\n")
    offset = text.index(old)
    first = text.count("\n", 0, offset)
    last = first + old.count("\n")
    for start in range(first, -1, -1):
        if not FUNCTION.match(lines[start]) or lines[start].endswith("}"):
            continue
        function = Function(lines, start)
        if function.body <= first and last < function.end:
            return function
    return None


def switched(text, chosen):
    """A file with the bodies of (number, mutation) behind their switches, and the numbers that found no function."""
    lines, functions, left = text.split("\n"), {}, set()
    for number, mutation in chosen:
        function = enclosing(text, mutation.old)
        if function is None:
            left.add(number)
            continue
        body = "\n".join(lines[function.body:function.end])
        bodies = functions.setdefault((function.body, function.end), [])
        # The text may begin or end with the lines of its neighbours' white space.
        bodies.append((number, body.replace(mutation.old, mutation.new)))
    for (begin, end), bodies in sorted(functions.items(), reverse=True):
        body = lines[begin:end]
        branches = [f"if crate::taken_out::is({number}) {{\n{other}\n}} else" for number, other in bodies]
        lines[begin:end] = [" ".join(branches) + " {", *body, "}"]
    return "\n".join(lines), left


def branch_of(text, line):
    """The number of the switch whose body an error's line lies in; None in the code as it is."""
    found = [BRANCH.search(one) for one in text.split("\n")[:line]]
    return next((int(match.group(1)) for match in reversed(found) if match), None)
