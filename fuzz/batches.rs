//! Files of records, made from what a fuzzer gives: shared by the targets that read such files.

/// Appends the lines of `input` to a file, in batches that are whole; an empty line ends a batch.
pub fn append_batches(file: &mut Vec<u8>, input: &[u8]) {
    let mut lines: Vec<&[u8]> = Vec::new();
    for line in input.split(|&octet| octet == b'\n') {
        match line {
            [] => commit(file, &std::mem::take(&mut lines)),
            line if line.starts_with(b"= ") => {}
            line => lines.push(line),
        }
    }
    commit(file, &lines);
}

/// Appends a batch of lines with its checksum.
pub fn commit(file: &mut Vec<u8>, lines: &[&[u8]]) {
    let start = file.len();
    for line in lines {
        file.extend_from_slice(line);
        file.push(b'\n');
    }
    let covered = format!("= {} 0", lines.len());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&file[start..]);
    hasher.update(covered.as_bytes());
    file.extend_from_slice(format!("{covered} {:08x}\n", hasher.finalize()).as_bytes());
}
