//! Every byte that a server sends is the last one.
