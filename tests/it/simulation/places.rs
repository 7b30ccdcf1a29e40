//! Disks that are not there, and disks that cannot sync.
