//! What a Maildir is recognised by: plain values that the state remembers and the Maildir is asked for.

/// What tells a Maildir from another one under the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaildirId {
    /// The inode number of `tmp/`.
    pub tmp_inode: u64,
    /// The inode number of `new/`.
    pub new_inode: u64,
    /// The number in our marker file, where inode numbers do not last.
    pub marker: Option<u64>,
}

impl MaildirId {
    /// Whether a Maildir that is there now is the one that had this id. Where there is a marker, it alone tells: inode
    /// numbers may be others, or those of something else.
    #[must_use]
    pub fn is(&self, now: &Self) -> bool {
        let same_inodes = (self.tmp_inode, self.new_inode) == (now.tmp_inode, now.new_inode);
        match (self.marker, now.marker) {
            (Some(then), Some(now)) => then == now,
            _ => same_inodes,
        }
    }
}
