//! What a server can say no to, and what the exit status says then.

use std::net::TcpListener;
use std::time::Duration;

use crate::delivered::assert_same_mail;
use crate::leaks::assert_no_secret;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::scripted::Server;
use crate::scripted::dialogue::{self, Step};
use crate::scripted::maildrop::Maildrop;

/// One fetch from this server, in clear, with the shortest time-out.
fn fetch_from(server: &Server) -> crate::program::Outcome {
    TestEnv::in_memory(&[Account::at(server.address).text("timeout", "5s")]).fetch()
}

#[test]
fn one_refused_message_does_not_stop_the_others() {
    for delete in [false, true] {
        let mut messages = small_ones(3);
        messages[1].refusal = Some("-ERR cannot open it".to_owned());
        let maildrop = Maildrop::new(messages);
        let account = Account::at(maildrop.server.address);
        let env = TestEnv::new(&[if delete { account.deleting() } else { account }]);
        env.fetch().expect(1).says("cannot open it");
        let mut others = small_ones_stored(3);
        others.retain(|message| *message != crate::raw::stored(&crate::mail::small(2)));
        assert_same_mail(&env.mail(), &others);
        let tried = maildrop.count("RETR");
        env.fetch().expect(1);
        assert!(maildrop.count("RETR") > tried, "it is not tried again");
        assert_eq!((maildrop.retrieved("u1"), maildrop.retrieved("u3")), (1, 1));
        maildrop.change(|contents| {
            contents.messages.iter_mut().for_each(|message| message.refusal = None);
        });
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(3));
        assert_eq!(maildrop.left().len(), if delete { 0 } else { 3 });
    }
}

#[test]
fn one_bad_account_does_not_stop_the_others() {
    let maildrop = Maildrop::new(small_ones(3));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let good = Account::at(maildrop.server.address).named("good");
    let wrong = Account::at(maildrop.server.address).named("wrong").text("password", "no");
    let env = TestEnv::new(&[wrong, Account::at(nobody).named("away"), good]);
    let outcome = env.fetch().expect(77);
    assert_same_mail(&env.mail_of("good"), &small_ones_stored(3));
    for account in ["good", "wrong", "away"] {
        assert!(outcome.output().contains(account), "{account} is not spoken of: {outcome:#?}");
    }
    env.run(&["fetch", "good"]).expect(0).says("nothing new");
    env.run(&["fetch", "good", "away"]).expect(75);
}

#[test]
fn a_refusing_greeting_ends_the_session_without_a_login() {
    let server = dialogue::serve(vec![Step::say("-ERR closed for today")]);
    let outcome = fetch_from(&server);
    assert!([75, 76].contains(&outcome.status), "{outcome:#?}");
    outcome.says("closed for today");
    assert_no_secret(&server.raw());
}

#[test]
fn a_wrong_password_is_offered_once() {
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::new(&[Account::at(maildrop.server.address).text("password", "not this one")]);
    env.fetch().expect(77);
    let tries = maildrop.count("PASS") + maildrop.count("AUTH");
    assert_eq!(tries, 1, "a provider locks an account after a few");
    assert!(env.mail().is_empty());
}

#[test]
fn a_busy_maildrop_is_for_later() {
    for answer in ["-ERR [IN-USE] locked by another session", "-ERR [SYS/TEMP] disk away", "-ERR [LOGIN-DELAY] wait"] {
        let refuse = Some(answer.to_owned());
        let maildrop = Maildrop::with(small_ones(1), |behaviour| behaviour.login_answer = refuse);
        let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
        env.fetch().expect(75);
        maildrop.change(|contents| contents.behaviour.login_answer = None);
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(1));
    }
}

#[test]
fn what_is_no_pop3_server_gets_no_password() {
    for greeting in ["HTTP/1.1 400 Bad Request", "* OK IMAP4rev1 ready", "220 smtp.example.org ESMTP", ""] {
        let server = dialogue::serve(vec![Step::say(greeting), Step::Close]);
        let outcome = fetch_from(&server);
        assert_eq!(outcome.status, 76, "greeted by {greeting:?}: {outcome:#?}");
        assert_no_secret(&server.raw());
    }
}

#[test]
fn an_endless_greeting_ends() {
    let server = dialogue::serve(vec![Step::Send(vec![b'+'; 4 << 20]), Step::Stall]);
    let outcome = fetch_from(&server).expect(76);
    assert!(outcome.peak_kib < 8 * 1024, "{} KiB", outcome.peak_kib);
}

#[test]
fn nobody_there_is_for_later() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    TestEnv::new(&[Account::at(nobody)]).fetch().expect(75);
}

#[test]
fn a_server_that_hangs_up_is_for_later() {
    for last in [Step::Close, Step::Reset] {
        fetch_from(&dialogue::serve(vec![last.clone()])).expect(75);
        fetch_from(&dialogue::serve(vec![Step::say("+OK hello"), last])).expect(75);
    }
}

#[test]
fn a_silent_server_is_given_up() {
    for steps in [vec![Step::Stall], vec![Step::say("+OK hello"), Step::Stall]] {
        let outcome = fetch_from(&dialogue::serve(steps)).expect(75);
        assert!(outcome.elapsed < Duration::from_secs(15), "{outcome:#?}");
    }
}

#[test]
fn a_server_from_before_capa_is_served_by_user_and_pass() {
    let maildrop = Maildrop::with(small_ones(3), |behaviour| behaviour.capabilities = None);
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(3));
    assert_eq!(maildrop.count("USER"), maildrop.server.sessions().len());
}

#[test]
fn without_pipelining_there_is_one_command_at_a_time() {
    for delete in [false, true] {
        let maildrop = Maildrop::with(small_ones(5), |behaviour| behaviour.pipelining = false);
        let account = Account::at(maildrop.server.address);
        let env = TestEnv::new(&[if delete { account.deleting() } else { account }]);
        env.fetch().expect(0);
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(5));
        maildrop.server.wait_until_idle();
        for session in maildrop.server.sessions() {
            assert_eq!(session.pipelined, 0, "{:?}", session.lines);
        }
    }
}

#[test]
fn utf8_is_asked_for_where_it_is_offered() {
    let maildrop = Maildrop::with(small_ones(2), |behaviour| {
        behaviour.capabilities.as_mut().unwrap().push("UTF8".to_owned());
    });
    let env = TestEnv::new(&[Account::at(maildrop.server.address)]);
    env.fetch().expect(0);
    assert_same_mail(&env.mail(), &small_ones_stored(2));
    assert_eq!(maildrop.count("UTF8"), maildrop.server.sessions().len());
}
