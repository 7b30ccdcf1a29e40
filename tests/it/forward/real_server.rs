//! Forwarding to a real Dovecot.

use super::*;
use crate::dovecot::shared;
use crate::mail::thousand_mixed;

/// The corpus and a thousand mixed messages.
fn messages() -> Vec<Vec<u8>> {
    corpus().into_iter().map(|(_, message)| message).chain(thousand_mixed()).collect()
}

#[test]
fn everything_arrives_once_by_imap_and_starttls() {
    let Some(dovecot) = shared() else { return };
    let (source, destination) = (dovecot.user("forward-from", &messages()), dovecot.user("forward-to", &[]));
    let Some(forward) = destination.forward_by_imap("INBOX") else {
        return crate::program::skip("dovecot-imapd is not installed");
    };
    let served = source.served();
    let env = TestEnv::new(&[source.inside_tls().deleting().set("forward", forward)]);
    env.fetch().expect(0).says(&format!("{} forwarded", served.len()));
    assert_eq!(source.left(), served.len(), "nothing is deleted before the poll after its arrival");
    env.fetch().expect(0);
    assert_eq!((source.left(), spool(&env)), (0, 0));
    assert_same_mail(&destination.served(), &served);
    env.fetch().expect(0);
    assert_same_mail(&destination.served(), &served);
}

#[test]
fn a_mailbox_that_is_not_there_is_made_with_its_odd_name() {
    let Some(dovecot) = shared() else { return };
    let (source, destination) = (dovecot.user("label-from", &[small(1)]), dovecot.user("label-to", &[]));
    let Some(forward) = destination.forward_by_imap("Alte \u{e4}\u{f6} & Co") else {
        return crate::program::skip("dovecot-imapd is not installed");
    };
    let env = TestEnv::new(&[source.in_clear().set("forward", forward)]);
    env.fetch().expect(0).says("1 forwarded");
    assert_eq!(destination.left(), 0, "it is not in the inbox");
}

#[test]
fn everything_arrives_by_lmtp() {
    let Some(dovecot) = shared() else { return };
    let (source, destination) = (dovecot.user("lmtp-from", &messages()), dovecot.user("lmtp-to", &[]));
    let Some(forward) = destination.forward_by_lmtp() else {
        return crate::program::skip("dovecot-lmtpd is not installed");
    };
    let served = source.served();
    let env = TestEnv::new(&[source.inside_tls().deleting().set("forward", forward)]);
    env.fetch().expect(0).says(&format!("{} forwarded", served.len()));
    env.fetch().expect(0);
    assert_eq!(source.left(), 0);
    // Dovecot adds its own header fields at the top.
    let arrived = destination.served();
    assert_eq!(arrived.len(), served.len());
    for message in &served {
        assert!(arrived.iter().any(|other| other.ends_with(message)), "{}", String::from_utf8_lossy(message));
    }
}
