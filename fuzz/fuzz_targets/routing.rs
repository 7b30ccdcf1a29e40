//! Routing: no header is too odd to be routed, the same header goes to the same place however it comes in, and with
//! multidrop nothing goes to a person unless the header names that person's address.

#![no_main]

use std::num::NonZeroU32;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use mailferry::routing::{
    Address, Condition, HeaderEnd, Multidrop, Occurrence, OtherMaildir, Pattern, Route, Routing, Rule, Rules, Target, HeaderRecipients,
};

fn maildir(path: &str) -> OtherMaildir {
    OtherMaildir { path: path.into(), is_folder: false }
}

fn rules() -> Routing {
    let rule = |field: &str, pattern: Result<Pattern, _>, target| Rule {
        condition: Condition::new(field, vec![pattern.expect("a pattern")]),
        target,
    };
    Routing::Rules(Rules::new(vec![
        rule("List-Id", Pattern::contains("<dev.example.org>"), Target::Maildir(maildir("/dev"))),
        rule("Subject", Pattern::matches("*a?b*a*"), Target::Skip),
        rule("From", Pattern::equals("jo@example.org"), Target::Maildir(maildir("/jo"))),
    ]))
}

fn multidrop(occurrence: Occurrence, trusted: bool) -> Multidrop {
    let recipient = |address: &str, path: &str| (Address::new(address).expect("an address"), maildir(path));
    Multidrop {
        header: "x-envelope-to".to_owned(),
        occurrence,
        strip_prefix: Some("p-".to_owned()),
        trusted_received_by: if trusted { vec!["mx.example".to_owned()] } else { Vec::new() },
        recipients: [recipient("ann@a.example", "/ann"), recipient("bob@a.example", "/bob")].into(),
    }
}

fuzz_target!(|message: &[u8]| {
    let mut end = HeaderEnd::default();
    let in_pieces = (0..=message.len()).find_map(|length| end.find(&message[..length]));
    let length = HeaderEnd::default().find(message);
    assert_eq!(in_pieces, length);
    let header = &message[..length.unwrap_or(message.len())];

    let rules = rules();
    assert_eq!(rules.route(header), rules.route(header));
    assert!(rules.route_of_fetched(header) != Route::Skip);

    for occurrence in [Occurrence::One(NonZeroU32::MIN), Occurrence::All] {
        for trusted in [false, true] {
            let multidrop = multidrop(occurrence, trusted);
            let told = multidrop.recipients_in(header);
            let names = |who: &str| match &told {
                HeaderRecipients::Recipients(texts) => texts.iter().any(|text| text.to_lowercase() == format!("{who}@a.example")),
                _ => false,
            };
            let goes_to = |path: &str| match multidrop.route_of(&told) {
                Route::Other(maildir) => maildir == Path::new(path),
                Route::Several(all) => all.contains(&Some(Path::new(path))),
                Route::Own | Route::Skip => false,
            };
            for who in ["ann", "bob"] {
                assert!(!goes_to(&format!("/{who}")) || names(who), "{who} is not named: {told:?}");
            }
        }
    }
});
