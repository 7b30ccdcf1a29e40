//! What a server can refuse, and the exit statuses for it.

use std::time::Duration;

use crate::delivered::assert_same_mail;
use crate::leaks::assert_no_secret;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::proxies::{proxy_to, url};
use crate::scripted::Server;
use crate::scripted::closed::ClosedPort;
use crate::scripted::dialogue::{self, Step};
use crate::scripted::maildrop::Maildrop;

/// Fetches from this server, without TLS, with the shortest timeout.
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
    let nobody = ClosedPort::new();
    let good = Account::at(maildrop.server.address).named("good");
    let wrong = Account::at(maildrop.server.address).named("wrong").text("password", "no");
    let env = TestEnv::new(&[wrong, Account::at(nobody.address).named("away"), good]);
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
    let server = dialogue::serve(vec![Step::Send(vec![b'+'; 40 << 20]), Step::Stall]);
    let outcome = fetch_from(&server).expect(76);
    assert!(outcome.peak_kib < 8 * 1024, "{} KiB", outcome.peak_kib);
}

#[test]
fn nobody_there_is_for_later() {
    let nobody = ClosedPort::new();
    TestEnv::new(&[Account::at(nobody.address)]).fetch().expect(75);
}

#[test]
fn a_server_that_closes_the_connection_is_for_later() {
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

/// A maildrop whose server gives these answers to these commands.
fn answering(messages: usize, answers: &[(&str, &str)]) -> Maildrop {
    Maildrop::with(small_ones(messages), |behaviour| {
        behaviour.answers = answers.iter().map(|(to, answer)| (to.to_string(), format!("{answer}\r\n"))).collect();
    })
}

#[test]
fn words_about_the_credentials_go_before_words_about_time() {
    for (answer, status) in [
        ("-ERR Authentication failed. Account is blocked.", 77),
        ("-ERR Invalid login or password. Unlock your account at https://example.org/busy", 77),
        ("-ERR Your account has been locked because of too many failed logins", 77),
        ("-ERR Username and password not accepted. Try again", 77),
        ("-ERR POP3 access is locked for this user, enable it in the settings", 77),
        ("-ERR maildrop already locked by another session", 75),
        ("-ERR unable to get lock", 75),
        ("-ERR Too many connections", 75),
        ("-ERR [IN-USE] wrong password", 75),
        ("-ERR [AUTH] mailbox is locked", 77),
    ] {
        let maildrop = answering(1, &[("AUTH", answer)]);
        let outcome = TestEnv::in_memory(&[Account::at(maildrop.server.address)]).fetch();
        assert_eq!(outcome.status, status, "{answer}: {outcome:#?}");
        assert_eq!(maildrop.count("AUTH") + maildrop.count("PASS"), 1, "{answer}");
    }
}

#[test]
fn what_needs_a_person_is_not_for_later() {
    let off = "-ERR [SYS/PERM] POP is not switched on for this account, the server is busy";
    for (what, refused) in [
        ("login", vec!["AUTH"]),
        ("all", vec!["STAT", "LIST", "UIDL"]),
        ("STAT and UIDL", vec!["STAT", "UIDL"]),
        ("UIDL", vec!["UIDL"]),
        ("LIST", vec!["LIST"]),
    ] {
        for messages in [0, 1] {
            let answers: Vec<(&str, &str)> = refused.iter().map(|command| (*command, off)).collect();
            let maildrop = answering(messages, &answers);
            let outcome = TestEnv::in_memory(&[Account::at(maildrop.server.address)]).fetch();
            assert_eq!(outcome.status, 77, "{what}: {outcome:#?}");
            let outcome = outcome.says("POP is not switched on").says("Waiting does not help");
            assert!(!outcome.output().contains("later"), "{what}: {outcome:#?}");
        }
    }
    let greeted = Maildrop::with(small_ones(1), |behaviour| behaviour.greeting = off.to_owned());
    TestEnv::in_memory(&[Account::at(greeted.server.address)]).fetch().expect(77).says("Waiting does not help");
}

#[test]
fn a_maildrop_that_is_locked_only_behind_the_login_is_for_later() {
    for answer in ["-ERR [SYS/TEMP] no", "-ERR [IN-USE] no", "-ERR mailbox is locked", "-ERR cannot open mailbox"] {
        let maildrop = answering(1, &[("STAT", answer), ("UIDL", answer), ("LIST", answer)]);
        let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
        env.fetch().expect(75).says("accepted the login");
        maildrop.change(|contents| contents.behaviour.answers.clear());
        env.fetch().expect(0);
    }
}

#[test]
fn a_server_that_closes_the_connection_behind_a_good_login_is_in_trouble() {
    let login = |behind: Vec<Step>| {
        let mut steps = vec![
            Step::say("+OK"),
            Step::ExpectPrefix("CAPA"),
            Step::say("-ERR unknown command"),
            Step::ExpectPrefix("USER"),
            Step::say("+OK"),
            Step::ExpectPrefix("PASS"),
        ];
        steps.extend(behind);
        dialogue::serve(steps)
    };
    for (said, status) in
        [("-ERR [SYS/TEMP] cannot open it", 75), ("-ERR mailbox is locked", 75), ("-ERR [SYS/PERM] off", 77)]
    {
        // Unsolicited, together with the answer to PASS or a little later; in place of the next answer.
        let at_once = vec![Step::Send(format!("+OK\r\n{said}\r\n").into_bytes()), Step::Close];
        let later = vec![Step::say("+OK"), Step::Pause(Duration::from_millis(50)), Step::say(said), Step::Close];
        let asked = vec![Step::say("+OK"), Step::ExpectPrefix("CAPA"), Step::say(said), Step::Close];
        for steps in [at_once, later, asked] {
            let server = login(steps);
            let outcome = fetch_from(&server);
            assert_eq!(outcome.status, status, "{said}: {outcome:#?}");
            let outcome = outcome.says("accepted the login and then").says(said.strip_prefix("-ERR ").unwrap());
            assert!(!outcome.output().contains("without being asked"), "{outcome:#?}");
            assert_eq!(server.sessions().len(), 1, "it is not asked again at once");
        }
    }
}

#[test]
fn an_empty_maildrop_may_refuse_to_be_listed() {
    let no = "-ERR no messages";
    for refused in [&["UIDL"][..], &["LIST"], &["UIDL", "LIST"]] {
        for capabilities in [Some(vec!["USER".to_owned()]), None] {
            let maildrop = Maildrop::new(small_ones(2));
            maildrop.change(|contents| contents.behaviour.capabilities = capabilities.clone());
            let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
            env.fetch().expect(0);
            let kept = maildrop.change(|contents| {
                contents.behaviour.answers = refused.iter().map(|one| (one.to_string(), format!("{no}\r\n"))).collect();
                std::mem::take(&mut contents.messages)
            });
            env.fetch().expect(0).says("nothing new");
            // The messages come back: nothing was forgotten.
            maildrop.change(|contents| {
                contents.behaviour.answers.clear();
                contents.messages = kept;
                contents.messages.extend(small_ones(3).pop());
            });
            env.fetch().expect(0).says("1 new message");
            assert_same_mail(&env.mail(), &small_ones_stored(3));
        }
    }
    // Whatever the server says then, unless a reply code says more.
    let words = "-ERR No messages in maildrop, try again later";
    for stat in ["+OK 0 0", "+OK 0"] {
        let maildrop = answering(0, &[("STAT", stat), ("UIDL", words), ("LIST", words)]);
        TestEnv::in_memory(&[Account::at(maildrop.server.address)]).fetch().expect(0).says("nothing new");
    }
    // The maildrop may be empty, or the server in trouble.
    let maildrop = answering(0, &[("UIDL", "-ERR [SYS/TEMP] no"), ("LIST", no)]);
    TestEnv::in_memory(&[Account::at(maildrop.server.address)]).fetch().expect(75);
}

/// A maildrop of three messages that is reached under the name of a provider's server, and gives these answers.
fn of_provider(host: &str, answers: &[(&str, &str)], change: impl Fn(Account) -> Account) -> (Maildrop, TestEnv) {
    let maildrop = answering(3, answers);
    let address = maildrop.server.address;
    let (through, _) = proxy_to(move |_| Some((address, true)));
    let account = Account::at(address).text("host", host).set("allow_cleartext_password", true);
    let env = TestEnv::in_memory(&[change(account.text("proxy", &url(through, "pr0xy-s3cret")))]);
    (maildrop, env)
}

#[test]
fn what_a_provider_says_is_explained() {
    let off = "-ERR [SYS/PERM] Your account is not enabled for POP access. Please visit your Gmail settings page and \
               enable your account for POP access.";
    for (host, answers, status, explained) in [
        (
            "pop.gmail.com",
            &[("AUTH", "-ERR [AUTH] Application-specific password required: https://support.google.com/x")][..],
            77,
            "Make an app password at myaccount.google.com/apppasswords",
        ),
        ("pop.gmail.com", &[("STAT", off), ("UIDL", off), ("LIST", off)], 77, "POP3 is switched off for this mailbox"),
        ("pop.gmail.com", &[("STAT", off), ("UIDL", off), ("LIST", off)], 77, "Forwarding and POP/IMAP > POP download"),
        ("pop.163.com", &[("AUTH", "-ERR Unable to log on")], 77, "新增授权密码"),
        ("pop.qiye.163.com", &[("AUTH", "-ERR ERR.LOGIN.REQCODE")], 77, "授权码"),
        ("pop.qq.com", &[("AUTH", "-ERR Login fail. Account is abnormal")], 77, "for every cause"),
        ("pop3.web.de", &[("AUTH", "-ERR no")], 77, "the part before the @"),
        ("pop.example.org", &[("AUTH", "-ERR [IN-USE] no")], 75, "Another program has the mailbox open"),
        ("pop.example.org", &[("AUTH", "-ERR too many logins, wait")], 75, "those of other programs"),
    ] {
        let (maildrop, env) = of_provider(host, answers, |account| account);
        env.fetch().expect(status).says(explained);
        env.run(&["check"]).says(explained);
        assert_eq!(maildrop.count("RETR"), 0);
    }
    let token = |account: Account| account.text("auth", "xoauth2");
    let refused = "-ERR Authentication failure: unknown user name or bad password";
    let (maildrop, env) = of_provider("outlook.office365.com", &[("AUTH", refused)], token);
    let capabilities = ["USER", "SASL PLAIN XOAUTH2"].map(str::to_owned).to_vec();
    maildrop.change(|contents| contents.behaviour.capabilities = Some(capabilities));
    env.fetch().expect(77).says("or the token is of another one").says("Let devices and apps use POP");
}

/// A refusal of one message stops no other, whatever the server says.
#[test]
fn a_limit_that_is_about_one_message_is_a_refused_message() {
    for pipelining in [true, false] {
        let maildrop = Maildrop::with(small_ones(3), |behaviour| behaviour.pipelining = pipelining);
        maildrop.change(|contents| {
            contents.messages[0].refusal = Some("-ERR it is larger than the download limit".into());
        });
        let env = TestEnv::in_memory(&[Account::at(maildrop.server.address)]);
        env.fetch().expect(1).says("it is larger than the download limit").says("2 new messages");
        assert_eq!(env.mail().len(), 2);
    }
}

/// What was retrieved is kept; the rest is requested again when the server allows more, and none of it counts as
/// a failure.
#[test]
fn a_daily_limit_is_waited_for() {
    for pipelining in [true, false] {
        let (maildrop, env) = of_provider("pop.163.com", &[], |account| account);
        maildrop.change(|contents| {
            contents.behaviour.pipelining = pipelining;
            contents.messages[1..].iter_mut().for_each(|message| message.refusal = Some("-ERR Download exceed".into()));
        });
        let outcome = env.fetch().expect(75).says("Download exceed").says("Nothing is to be done");
        let outcome = outcome.says("2 messages are left for the next poll, because the server gives no more for now");
        assert!(!outcome.output().contains("could not be fetched"), "{outcome:#?}");
        assert_same_mail(&env.mail(), &small_ones_stored(1));
        maildrop.server.wait_until_idle();
        let session = maildrop.server.sessions().pop().unwrap();
        assert!(session.quit && maildrop.server.sessions().len() == 1, "{:?}", session.lines);
        assert_eq!(maildrop.count("RETR"), 3);
        for _ in 0..3 {
            env.fetch().expect(75);
        }
        // No message was quarantined for it.
        maildrop.change(|contents| contents.messages.iter_mut().for_each(|message| message.refusal = None));
        env.fetch().expect(0).says("2 new messages");
        assert_same_mail(&env.mail(), &small_ones_stored(3));
    }
}
