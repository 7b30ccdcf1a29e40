//! A secret that cannot be printed.

use secrecy::{ExposeSecret, SecretSlice};

/// Bytes that no `Debug`, log or error can show, and that are wiped when dropped.
#[derive(Clone)]
pub struct Secret(SecretSlice<u8>);

impl Secret {
    /// Takes ownership of the bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(SecretSlice::from(bytes))
    }

    /// Returns the bytes, for the wire and nothing else.
    #[must_use]
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

/// Compares two secrets of our own, to see whether one has changed; never one that somebody else sent.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}
