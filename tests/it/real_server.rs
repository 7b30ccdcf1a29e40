//! What a real Dovecot serves is stored byte for byte, over every kind of connection.

use crate::delivered::assert_same_mail;
use crate::dovecot::{User, shared, token_of};
use crate::mail::{corpus, odd_ones, thousand_mixed};
use crate::program::{Account, TestEnv};

/// The corpus and the odd messages, except for those that begin with a dot, which Dovecot 2.3 fails to stuff.
fn all_messages() -> Vec<Vec<u8>> {
    let odd = odd_ones().into_iter().filter(|message| !message.starts_with(b"."));
    corpus().into_iter().map(|(_, message)| message).chain(odd).collect()
}

/// Fetches everything, then finds nothing new; nothing is deleted on the server.
fn everything_arrives_once(user: &User<'_>, account: Account) {
    let served = user.served();
    let env = TestEnv::new(&[account]);
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &served);
    assert!(env.tmp().is_empty());
    env.fetch().expect(0).says("nothing new");
    assert_same_mail(&env.mail(), &served);
    assert_eq!(user.left(), served.len());
}

#[test]
fn odd_messages_arrive_byte_for_byte_in_clear() {
    let Some(dovecot) = shared() else { return };
    let user = dovecot.user("clear", &all_messages());
    everything_arrives_once(&user, user.in_clear());
}

#[test]
fn odd_messages_arrive_byte_for_byte_by_stls() {
    let Some(dovecot) = shared() else { return };
    let user = dovecot.user("stls", &all_messages());
    everything_arrives_once(&user, user.by_stls());
}

#[test]
fn odd_messages_arrive_byte_for_byte_inside_tls() {
    let Some(dovecot) = shared() else { return };
    let user = dovecot.user("tls", &all_messages());
    everything_arrives_once(&user, user.inside_tls());
}

#[test]
fn delivered_messages_go_from_the_server_when_told_so() {
    let Some(dovecot) = shared() else { return };
    let user = dovecot.user("delete", &all_messages());
    let served = user.served();
    let env = TestEnv::new(&[user.inside_tls().deleting()]);
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &served);
    assert_eq!(user.left(), 0);
    env.fetch().expect(0).says("nothing new");
    assert_same_mail(&env.mail(), &served);
}

#[test]
fn nothing_goes_before_its_days_are_over() {
    let Some(dovecot) = shared() else { return };
    let user = dovecot.user("later", &all_messages());
    everything_arrives_once(&user, user.by_stls().text("leave_on_server", "14d"));
}

#[test]
fn messages_kept_before_go_when_the_policy_changes() {
    let Some(dovecot) = shared() else { return };
    let user = dovecot.user("change", &all_messages());
    let served = user.served();
    let env = TestEnv::new(&[user.in_clear()]);
    env.fetch().expect(0);
    env.configure(&[user.in_clear().deleting()]);
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &served);
    assert_eq!(user.left(), 0);
}

#[test]
fn a_thousand_messages_arrive() {
    let Some(dovecot) = shared() else { return };
    let user = dovecot.user("thousand", &thousand_mixed());
    everything_arrives_once(&user, user.in_clear());
}

#[test]
fn every_login_that_dovecot_offers_works() {
    let Some(dovecot) = shared() else { return };
    for auth in ["plain", "user", "login", "apop", "cram-md5", "scram-sha-1", "scram-sha-256"] {
        let user = dovecot.user(&format!("auth-{auth}"), &thousand_mixed()[..3]);
        everything_arrives_once(&user, user.inside_tls().text("auth", auth));
        let wrong = user.in_clear().text("auth", auth).text("password", "not-this-one");
        TestEnv::new(&[wrong]).fetch().expect(77);
    }
}

#[test]
fn an_access_token_logs_in_at_dovecot() {
    let Some(dovecot) = shared() else { return };
    for auth in ["xoauth2", "oauthbearer"] {
        let name = format!("auth-{auth}");
        let user = dovecot.user(&name, &thousand_mixed()[..3]);
        let account = user.inside_tls().text("auth", auth);
        everything_arrives_once(&user, account.clone().text("password", &token_of(&name)));
        TestEnv::new(&[account.text("password", "ya29.of-nobody")]).fetch().expect(77);
    }
}

#[test]
fn a_certificate_logs_in_at_dovecot() {
    let Some(dovecot) = shared() else { return };
    let user = dovecot.user("auth-external", &thousand_mixed()[..3]);
    everything_arrives_once(&user, user.by_certificate("auth-external"));
}

#[test]
fn a_wrong_password_at_dovecot_is_a_refused_login() {
    let Some(dovecot) = shared() else { return };
    let user = dovecot.user("wrong", &thousand_mixed()[..1]);
    let env = TestEnv::new(&[user.inside_tls().text("password", "not this one")]);
    env.fetch().expect(77);
    assert!(env.mail().is_empty());
}

#[test]
fn a_message_that_dovecot_garbles_stops_no_other_and_stays() {
    // The answer to its RETR ends at its first line, and its other lines take the place of the next answer.
    let Some(dovecot) = shared() else { return };
    let garbled = b".\nSubject: lost by the server\n\ntext\n".to_vec();
    let good = |n: usize| crate::raw::stored(&crate::mail::small(n));
    for delete in [false, true] {
        let user = dovecot.user(&format!("garbled-{delete}"), &[good(1), garbled.clone(), good(2)]);
        let account = user.in_clear();
        let env = TestEnv::new(&[if delete { account.deleting() } else { account }]);
        for _ in 0..4 {
            env.fetch();
        }
        let mail = env.mail();
        for n in [1, 2] {
            assert_eq!(mail.iter().filter(|message| **message == good(n)).count(), 1, "message {n}: {mail:?}");
        }
        assert!(user.left() >= 1, "what never came was deleted");
    }
}
