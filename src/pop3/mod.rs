//! stub
#![allow(missing_docs)]
use std::num::NonZeroU32;
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageNumber(NonZeroU32);
impl MessageNumber {
    pub fn new(n: u32) -> Option<Self> {
        NonZeroU32::new(n).map(Self)
    }
    pub fn get(self) -> u32 {
        self.0.get()
    }
}
impl std::fmt::Display for MessageNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniqueId(Box<[u8]>);
impl UniqueId {
    pub fn new(b: &[u8]) -> Result<Self, ()> {
        if b.is_empty() { Err(()) } else { Ok(Self(b.into())) }
    }
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
