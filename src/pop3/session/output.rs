//! What is to be written to the socket.

/// Octets on their way to the server. They may hold a password, so they are wiped once written.
#[derive(Default)]
pub(super) struct Output {
    /// Written octets, which are zero, then those still to be written.
    buffer: Vec<u8>,
    /// How many are written.
    written: usize,
}

impl Output {
    /// Where the next line is appended.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// The octets still to be written.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.buffer.get(self.written..).unwrap_or_default()
    }

    /// Drops the first `written` octets of what is still to be written.
    pub(super) fn advance(&mut self, written: usize) {
        let end = self.written.saturating_add(written).min(self.buffer.len());
        wipe(self.buffer.get_mut(self.written..end).unwrap_or_default());
        self.written = end;
        if self.written == self.buffer.len() {
            self.buffer.clear();
            self.written = 0;
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        wipe(&mut self.buffer);
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Output({} octets)", self.as_bytes().len())
    }
}

/// Without the black box the compiler may leave the writing out, because nobody reads these octets again.
fn wipe(octets: &mut [u8]) {
    octets.fill(0);
    std::hint::black_box(octets);
}
