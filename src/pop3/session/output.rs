//! The octets to be written to the socket.

/// Octets on their way to the server. They may contain a password, so they are wiped once written.
#[derive(Default)]
pub(super) struct Output {
    /// Octets that are written and wiped, followed by those still to be written.
    buffer: Vec<u8>,
    /// How many of them are written.
    written: usize,
}

impl Output {
    /// Returns the buffer to which the next line is appended.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Returns the octets still to be written.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.buffer.get(self.written..).unwrap_or_default()
    }

    /// Wipes the first `written` octets that were still to be written.
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

/// Without the black box the compiler may drop the write, because these octets are never read again.
fn wipe(octets: &mut [u8]) {
    octets.fill(0);
    std::hint::black_box(octets);
}
