//! What those that are due wait for, each in a line of its server. PURE.

/// What an account waits for at its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// A place there and one among all.
    Places,
    /// The same; its last poll had them for long and brought next to nothing.
    Slow,
    /// To prepare, which takes no time.
    Prompt,
    /// To prepare, which takes long.
    Late,
}

impl Line {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Places, Self::Slow, Self::Prompt, Self::Late];

    /// Whether who stands in it is to get what it logs in with, and needs no place for that.
    pub(super) fn is_to_prepare(self) -> bool {
        matches!(self, Self::Prompt | Self::Late)
    }
}

/// Something of each line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OfLines<T> {
    places: T,
    slow: T,
    prompt: T,
    late: T,
}

impl<T> OfLines<T> {
    /// What this gives for each.
    pub(super) fn each(of: impl Fn(Line) -> T) -> Self {
        Self { places: of(Line::Places), slow: of(Line::Slow), prompt: of(Line::Prompt), late: of(Line::Late) }
    }

    /// That of a line.
    pub(super) fn of(&self, line: Line) -> &T {
        match line {
            Line::Places => &self.places,
            Line::Slow => &self.slow,
            Line::Prompt => &self.prompt,
            Line::Late => &self.late,
        }
    }

    /// That of a line, to be changed.
    pub(super) fn of_mut(&mut self, line: Line) -> &mut T {
        match line {
            Line::Places => &mut self.places,
            Line::Slow => &mut self.slow,
            Line::Prompt => &mut self.prompt,
            Line::Late => &mut self.late,
        }
    }

    /// Those of all lines, in their order.
    pub(super) fn all(&self) -> [&T; 4] {
        [&self.places, &self.slow, &self.prompt, &self.late]
    }
}
