//! What due accounts wait for, each in a line of its server. PURE.

/// What an account waits for at its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// A place there and one in the total.
    Places,
    /// The same, for an account that is slow: its polls hold their places for long and retrieve little.
    Slow,
    /// To prepare, which is expected to be quick.
    Prompt,
    /// To prepare, which took long the last time.
    Late,
}

impl Line {
    /// All lines, in the order of [`OfLines::all`].
    pub(super) const ALL: [Self; 4] = [Self::Places, Self::Slow, Self::Prompt, Self::Late];

    /// Whether accounts in it wait to get their credential, for which they need no place.
    pub(super) fn is_to_prepare(self) -> bool {
        matches!(self, Self::Prompt | Self::Late)
    }
}

/// A value for each line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OfLines<T> {
    places: T,
    slow: T,
    prompt: T,
    late: T,
}

impl<T> OfLines<T> {
    /// Makes the values by calling `of` for each line.
    pub(super) fn each(of: impl Fn(Line) -> T) -> Self {
        Self { places: of(Line::Places), slow: of(Line::Slow), prompt: of(Line::Prompt), late: of(Line::Late) }
    }

    /// Returns the value of a line.
    pub(super) fn of(&self, line: Line) -> &T {
        match line {
            Line::Places => &self.places,
            Line::Slow => &self.slow,
            Line::Prompt => &self.prompt,
            Line::Late => &self.late,
        }
    }

    /// Returns the value of a line, to be changed.
    pub(super) fn of_mut(&mut self, line: Line) -> &mut T {
        match line {
            Line::Places => &mut self.places,
            Line::Slow => &mut self.slow,
            Line::Prompt => &mut self.prompt,
            Line::Late => &mut self.late,
        }
    }

    /// Returns the values of all lines, in order.
    pub(super) fn all(&self) -> [&T; 4] {
        [&self.places, &self.slow, &self.prompt, &self.late]
    }
}
