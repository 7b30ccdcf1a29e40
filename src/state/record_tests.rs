use super::*;

fn line(record: &Record) -> String {
    let mut bytes = Vec::new();
    record.write(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

fn ids<const N: usize>(numbers: [u64; N]) -> Vec<EntryId> {
    numbers.map(EntryId::new).to_vec()
}

fn entry(id: u64) -> Entry {
    Entry {
        id: EntryId::new(id),
        unique_id: Some(UniqueId::new(b"a b\xff%-").unwrap()),
        origin: Origin::Delivered,
        fingerprint: Fingerprint {
            reported_size: Some(ReportedSize::new(5_000_000_000)),
            header: Digest::parse(&[b'7'; 32]),
            whole: None,
        },
        delivered_at: -5,
        delivered_trusted: TrustedTime::of_record(9),
        intent: Some(Box::new(Intent {
            file_name: "1.M2P3.host,S=4".to_owned(),
            maildir: MaildirNumber::FIRST,
            also: Vec::new(),
            not_linked: Vec::new(),
            spooled: false,
        })),
        removed: false,
        doubt: false,
        absent_since: None,
    }
}

/// A message that failed, as listed with this size.
fn bad_one(size: Option<u64>) -> ListedAs {
    ListedAs { unique_id: UniqueId::new(b"bad one").unwrap(), reported_size: size.map(ReportedSize::new) }
}

fn samples() -> Vec<Record> {
    let identity = Identity {
        instance: InstanceId::new(0xfeed),
        host: "pop.example.org".to_owned(),
        user: "jo e%".to_owned(),
        created: 17,
    };
    let reading = ClockReading { wall: -1, boot: 7, since_boot: 8 };
    let mut bare = entry(2);
    (bare.unique_id, bare.intent, bare.removed, bare.doubt) = (None, None, true, true);
    bare.absent_since = Some(TrustedTime::of_record(3));
    let mut doubtful = entry(4);
    (doubtful.doubt, doubtful.intent) = (true, None);
    bare.origin = Origin::Adopted;
    let mut dash = entry(3);
    dash.unique_id = UniqueId::new(b"-").ok();
    let others = [
        Record::Header(identity),
        Record::Host { host: "h".to_owned(), user: "-".to_owned() },
        Record::Port { host: "pop.example.org".to_owned(), port: 995 },
        Record::Clock(ClockMark { reading, trusted: TrustedTime::of_record(6) }),
        Record::Entry(entry(1)),
        Record::Entry(bare),
        Record::Entry(dash),
        Record::Entry(doubtful),
        Record::Doubted(ids([1, 2])),
        Record::Verified(ids([7])),
        Record::Published(ids([1, 2, 3, 7, 9, 10])),
        Record::Removed { ids: ids([4]), trusted: TrustedTime::of_record(5) },
        Record::Absent { ids: ids([4, 5]), trusted: TrustedTime::of_record(5) },
        Record::Present(ids([1])),
        Record::Forgotten(ids([u64::MAX - 1, u64::MAX])),
        Record::Resized { id: EntryId::new(4), reported_size: ReportedSize::new(1 << 40) },
        Record::Renamed { id: EntryId::new(4), unique_id: UniqueId::new(b"new id").unwrap() },
        Record::Fingerprinted { id: EntryId::new(4), header: entry(1).fingerprint.header.unwrap() },
        Record::Quarantine {
            listed_as: bad_one(Some(7)),
            quarantine: Quarantine { kind: QuarantineReason::BrokeSession, count: 3, until: TrustedTime::of_record(4) },
        },
        Record::Quarantine {
            listed_as: bad_one(None),
            quarantine: Quarantine { kind: QuarantineReason::OverLimit, count: 1, until: TrustedTime::FIRST },
        },
        Record::QuarantineOver(bad_one(None)),
        Record::QuarantineOver(bad_one(Some(7))),
        Record::Skipped { listed_as: bad_one(Some(7)), rules: RulesDigest::new(u32::MAX) },
        Record::NotSkipped(ListedAs { unique_id: UniqueId::new(b"-").unwrap(), reported_size: None }),
        Record::Unshown(Some(EntryId::new(3))),
        Record::Unshown(None),
        Record::Unknown(b"z whatever %  it says".to_vec()),
    ];
    of_maildirs().into_iter().chain(others).collect()
}

/// Records of Maildirs, and those that name several Maildirs, or none.
fn of_maildirs() -> Vec<Record> {
    let maildir = |number, marker, created| {
        let id = MaildirId { tmp_inode: 1, new_inode: u64::MAX, marker, created };
        let resolved = PathBuf::from(OsStr::from_bytes(b"/mnt/\xfe").to_owned());
        let known = KnownMaildir { configured: PathBuf::from("/home/jo/Mail dir"), resolved, id };
        Record::Maildir(MaildirNumber::new(number), known)
    };
    let (id, maildirs) = (EntryId::new(7), |numbers: &[u32]| numbers.iter().map(|n| MaildirNumber::new(*n)).collect());
    vec![
        maildir(1, None, None),
        maildir(2, Some(0xbeef), None),
        maildir(3, None, Some(1_700_000_000_123_456_789)),
        maildir(4, Some(0xbeef), Some(5)),
        Record::AlsoInto { id, maildirs: maildirs(&[2, 3, 9]) },
        Record::NotLinked { id, maildirs: maildirs(&[1, 9]) },
        Record::NotLinked { id, maildirs: maildirs(&[]) },
    ]
}

#[test]
fn a_few_octets_do_not_fill_the_memory() {
    let most = format!("P 1-{MOST_IDS}");
    assert!(matches!(Record::parse(most.as_bytes()), Ok(Record::Published(ids)) if ids.len() == 1 << 24));
    for line in [format!("P 0-{MOST_IDS}"), format!("P 1-{MOST_IDS},7"), "P 1-9999999,1-9999999".to_owned()] {
        assert_eq!(Record::parse(line.as_bytes()), Err(BadRecord::Malformed), "{line}");
    }
    assert_eq!(Record::parse(b"P 0-18446744073709551615"), Err(BadRecord::Malformed));
}

#[test]
fn what_is_written_is_read() {
    for record in samples() {
        let text = line(&record);
        assert_eq!(Record::parse(text.as_bytes()), Ok(record), "{text}");
        assert!(text.bytes().all(|b| (b' '..0x7f).contains(&b)), "{text}");
    }
}

#[test]
fn runs_of_ids_are_short() {
    assert_eq!(line(&Record::Published(ids([1, 2, 3, 7, 9, 10]))), "P 1-3,7,9-10");
}

#[test]
fn a_missing_a_foreign_and_a_surplus_field_are_malformed() {
    for record in samples() {
        let text = line(&record);
        if matches!(record, Record::Unknown(_)) {
            continue;
        }
        let surplus = format!("{text} 1 2 3");
        assert!(Record::parse(surplus.as_bytes()).is_err(), "{surplus}");
        let letter_alone = text.split(' ').next().unwrap();
        assert_eq!(Record::parse(letter_alone.as_bytes()), Err(BadRecord::Malformed));
    }
    for bad in
        ["", "P", "P x", "P 5-1", "P 1-", "P +1", "P 1-99999999999999", "U 1 %G0", "U 1 %", "E 1 z", "? 1", "p h 65536"]
    {
        assert_eq!(Record::parse(bad.as_bytes()), Err(BadRecord::Malformed), "{bad}");
    }
}

#[test]
fn an_unknown_capital_is_newer_and_a_small_letter_is_kept() {
    assert_eq!(Record::parse(b"X 1"), Err(BadRecord::Newer('X')));
    assert_eq!(Record::parse(b"z 1"), Ok(Record::Unknown(b"z 1".to_vec())));
}
