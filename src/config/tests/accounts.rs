use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::{account, config};
use crate::account::{
    AuthChoice, ClientCertificate, CredentialSource, Endpoint, Interval, IpVersion, KeyExchange, MaildirMode,
    NotifySettings, PublicKeyPin, RemovalPolicy, TlsMode, TlsTrust,
};

#[test]
fn the_smallest_account_gets_the_defaults() {
    let config = config(&account("a", ""));
    let [account] = &config.accounts[..] else { panic!() };
    assert_eq!(account.name.as_str(), "a");
    assert!(account.enabled);
    let endpoint = Endpoint {
        host: "pop.example.org".to_owned(),
        port: 995,
        tls: TlsMode::Implicit,
        tls_ca_file: None,
        key_exchange: KeyExchange::Auto,
        allow_cleartext_password: false,
        route: Default::default(),
        tls_options: Default::default(),
    };
    assert_eq!(*account.endpoint, endpoint);
    assert_eq!(account.username, "jo");
    assert_eq!(account.auth, AuthChoice::Auto);
    assert_eq!(account.removal, RemovalPolicy::Keep);
    assert_eq!(account.interval, Interval::fixed(Duration::from_secs(300)));
    assert_eq!(account.timeout, Duration::from_secs(60));
    assert_eq!(account.max_message_size, None);
    assert_eq!((account.max_messages_per_session, account.sizes_are_estimates), (None, false));
    assert_eq!(account.maildir_mode, MaildirMode::PRIVATE);
    assert_eq!(account.on_new_mail, None);
    assert_eq!((config.daemon.concurrency.get(), config.daemon.per_host.get()), (32, 4));
    let notify =
        NotifySettings { command: None, no_success_for: Some(Duration::from_secs(86_400)), certificate_days: 14 };
    assert_eq!(config.notify, notify);
    assert_eq!(config.state_dir, None);
    assert!(config.warnings.is_empty());
}

#[test]
fn every_key_reaches_the_account() {
    let config = config(
        "state_dir = \"~/state\"\n[daemon]\nconcurrency = 7\nper_host = 2\n\
         [notify]\ncommand = [\"~/bin/tell\", \"jo\"]\nno_success_for = \"6h\"\ncertificate_days = 0\n\
         [accounts.work]\nhost = \"localhost\"\nport = 1110\ntls = \"none\"\nusername = \"jo\"\npassword = \"hunter2\"\n\
         auth = \"apop\"\nmaildir = \"~/Mail/{account}/in\"\nleave_on_server = \"14d\"\ninterval = \"10m\"\n\
         timeout = \"90s\"\nmax_message_size = \"50 MiB\"\nmax_messages_per_session = 250\nenabled = false\n\
         sizes_are_estimates = true\n\
         maildir_mode = \"2750\"\non_new_mail = [\"notmuch\", \"new\"]\n\
         tls_ca_file = \"/etc/ca.pem\"\ntls_key_exchange = \"classical\"\nallow_cleartext_password = true\n",
    );
    assert_eq!(config.state_dir, Some(PathBuf::from("/home/jo/state")));
    assert_eq!((config.daemon.concurrency.get(), config.daemon.per_host.get()), (7, 2));
    let [account] = &config.accounts[..] else { panic!() };
    let endpoint = Endpoint {
        host: "localhost".to_owned(),
        port: 1110,
        tls: TlsMode::None,
        tls_ca_file: Some(PathBuf::from("/etc/ca.pem")),
        key_exchange: KeyExchange::Classical,
        allow_cleartext_password: true,
        route: Default::default(),
        tls_options: Default::default(),
    };
    assert_eq!(*account.endpoint, endpoint);
    assert!(matches!(&account.credential, CredentialSource::Inline(secret) if secret.expose() == b"hunter2"));
    assert_eq!(account.auth, AuthChoice::Apop);
    assert_eq!(account.maildir, PathBuf::from("/home/jo/Mail/work/in"));
    assert_eq!(account.removal, RemovalPolicy::AfterAge(Duration::from_secs(14 * 86_400)));
    assert_eq!(account.interval, Interval::fixed(Duration::from_secs(600)));
    assert_eq!(account.timeout, Duration::from_secs(90));
    assert_eq!(account.max_message_size, Some(50 * 1024 * 1024));
    assert_eq!(account.max_messages_per_session, NonZeroU32::new(250));
    assert!(account.sizes_are_estimates);
    assert_eq!(account.maildir_mode, MaildirMode::new(0o2750).unwrap());
    assert_eq!(account.on_new_mail, Some(["notmuch".into(), "new".into()].into()));
    let notify = NotifySettings {
        command: Some(vec!["/home/jo/bin/tell".into(), "jo".into()]),
        no_success_for: Some(Duration::from_secs(6 * 3600)),
        certificate_days: 0,
    };
    assert_eq!(config.notify, notify);
    assert!(!account.enabled);
}

#[test]
fn the_keys_of_the_way_and_of_tls_reach_the_account() {
    let hex = "ab".repeat(32);
    let account_with = |keys: &str| config(&account("a", keys)).accounts[0].clone();
    let endpoint = account_with(&format!(
        "ip = \"4\"\nsource_address = \"192.0.2.7\"\nproxy = \"socks5://p.example.org:1080\"\n\
         tls_server_name = \"other.example.org\"\ntls_trust = \"pin\"\ntls_pin = \"{hex}\"\n\
         tls_client_cert = \"/c.pem\"\ntls_client_key = \"~/k.pem\"\nauth = \"external\""
    ));
    assert_eq!(endpoint.auth, AuthChoice::External);
    let route = &endpoint.endpoint.route;
    assert_eq!((route.ip, route.source_address), (IpVersion::V4, Some("192.0.2.7".parse().unwrap())));
    assert_eq!(route.proxy.as_ref().map(ToString::to_string).as_deref(), Some("socks5://p.example.org:1080"));
    let options = &endpoint.endpoint.tls_options;
    assert_eq!(options.server_name.as_deref(), Some("other.example.org"));
    assert_eq!((options.trust, options.pins.as_slice()), (TlsTrust::Pin, &[PublicKeyPin([0xab; 32])][..]));
    let ours = ClientCertificate { certificate: "/c.pem".into(), key: "/home/jo/k.pem".into() };
    assert_eq!(options.client_certificate, Some(ours));
    // One file may contain both.
    let ours = account_with("tls_client_cert = \"/c.pem\"").endpoint.tls_options.client_certificate.clone().unwrap();
    assert_eq!(ours.key, ours.certificate);
}

#[test]
fn an_account_can_go_without_the_proxy_of_the_defaults_and_without_a_password_where_a_certificate_shows_who_it_is() {
    let config = config(
        "[defaults]\nproxy = \"http://p.example.org:3128\"\nhost = \"pop.example.org\"\nmaildir = \"/m/{account}\"\n\
         username = \"jo\"\ntls_client_cert = \"/c.pem\"\nauth = \"external\"\n\
         [accounts.a]\n[accounts.b]\nproxy = \"none\"\n",
    );
    let proxies: Vec<bool> = config.accounts.iter().map(|account| account.endpoint.route.proxy.is_some()).collect();
    assert_eq!(proxies, [true, false]);
}

#[test]
fn the_mechanisms_for_tokens_make_the_password_a_token() {
    for (auth, token) in [("xoauth2", true), ("oauthbearer", true), ("auto", false), ("plain", false)] {
        assert_eq!(config(&account("a", &format!("auth = \"{auth}\""))).accounts[0].uses_token, token, "{auth}");
    }
}

#[test]
fn a_period_without_success_can_be_switched_off() {
    let config = config(&format!("notify.no_success_for = false\n{}", account("a", "")));
    assert_eq!(config.notify, NotifySettings { no_success_for: None, ..NotifySettings::default() });
}

#[test]
fn an_interval_may_have_two_bounds() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    for text in ["1m..15m", "60s .. 15m", "1m..0.25h"] {
        let config = config(&account("a", &format!("interval = \"{text}\"")));
        let interval = config.accounts[0].interval;
        assert_eq!((interval.shortest, interval.longest), (minutes(1), minutes(15)), "{text}");
        assert!(!interval.is_fixed());
    }
}

#[test]
fn defaults_fill_in_and_the_account_has_the_last_word() {
    let config = config(
        "[defaults]\nhost = \"pop.example.org\"\nmaildir = \"~/Mail/{account}\"\ninterval = \"1h\"\n\
         password_command = [\"pw\"]\nleave_on_server = false\nenabled = false\n\
         [accounts.a]\nusername = \"a\"\n\
         [accounts.b]\nusername = \"b\"\ninterval = \"2h\"\nleave_on_server = true\nenabled = true\n\
         password_file = \"/run/pw\"\nmaildir = \"/b\"\n",
    );
    let [a, b] = &config.accounts[..] else { panic!() };
    assert_eq!((a.interval.longest, b.interval.shortest), (Duration::from_secs(3600), Duration::from_secs(7200)));
    assert_eq!((a.removal, b.removal), (RemovalPolicy::AfterDelivery, RemovalPolicy::Keep));
    assert_eq!((a.enabled, b.enabled), (false, true));
    assert_eq!((&a.maildir, &b.maildir), (&PathBuf::from("/home/jo/Mail/a"), &PathBuf::from("/b")));
    assert!(matches!(&a.credential, CredentialSource::Command(argv) if argv == &["pw"]));
    assert!(matches!(&b.credential, CredentialSource::File(path) if path == &PathBuf::from("/run/pw")));
}

#[test]
fn accounts_keep_the_order_of_the_file() {
    let config = config(&["z", "a", "M", "m"].map(|name| account(name, "")).concat());
    let names: Vec<_> = config.accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["z", "a", "M", "m"]);
}

#[test]
fn the_port_follows_from_tls_and_the_other_way_round() {
    use TlsMode::{Implicit, None, StartTls};
    for (lines, port, tls) in [
        ("", 995, Implicit),
        ("tls = \"implicit\"", 995, Implicit),
        ("tls = \"starttls\"", 110, StartTls),
        ("tls = \"none\"\nallow_cleartext_password = true", 110, None),
        ("port = 995", 995, Implicit),
        ("port = 1995", 1995, Implicit),
        ("port = 110\ntls = \"starttls\"", 110, StartTls),
    ] {
        let config = config(&account("a", lines));
        let endpoint = &config.accounts[0].endpoint;
        assert_eq!((endpoint.port, endpoint.tls), (port, tls), "{lines}");
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }
}

#[test]
fn a_port_and_tls_that_do_not_go_together_are_a_warning_with_its_line() {
    for (lines, expected) in [
        ("port = 110\ntls = \"implicit\"", "config.toml:6: account `a` has port 110 with tls"),
        ("tls = \"starttls\"\nport = 995", "config.toml:7: account `a` has port 995 without"),
        (
            "tls = \"none\"\ntls_ca_file = \"/ca\"\nallow_cleartext_password = true",
            "config.toml:7: `tls_ca_file` has no effect",
        ),
    ] {
        let config = config(&account("a", lines));
        let [warning] = &config.warnings[..] else { panic!("{:?}", config.warnings) };
        assert!(warning.contains(expected), "{warning}");
    }
}

#[test]
fn a_clear_connection_needs_no_further_word_on_this_machine() {
    for host in ["localhost", "127.0.0.1", "127.3.2.1", "::1", "[::1]"] {
        let text = account("a", "tls = \"none\"").replace("pop.example.org", host);
        assert_eq!(config(&text).accounts[0].endpoint.tls, TlsMode::None, "{host}");
    }
}

#[test]
fn the_first_word_of_a_command_may_be_in_the_home_directory() {
    let text = account("a", "").replace("[\"pw\"]", "[\"~/bin/pw\", \"~/x\"]");
    let config = config(&text);
    assert!(
        matches!(&config.accounts[0].credential, CredentialSource::Command(argv) if argv == &["/home/jo/bin/pw", "~/x"])
    );
}

#[test]
fn naming_accounts_selects_them_and_naming_none_selects_the_enabled_ones() {
    let config = config(&(account("a", "enabled = false") + &account("work", "") + &account("c", "")));
    let names = |names: &[&str]| -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        config.select(&names).unwrap().iter().map(|account| account.name.to_string()).collect()
    };
    assert_eq!(names(&[]), ["work", "c"]);
    assert_eq!(names(&["c", "a"]), ["c", "a"]);
    assert_eq!(names(&["a", "a"]), ["a"]);
    let error = |name: &str| config.select(&[name.to_owned()]).unwrap_err().to_string();
    assert!(error("wrok").ends_with("config.toml; did you mean `work`?"), "{}", error("wrok"));
    assert!(error("home\x1b").starts_with("there is no account `home\\u{1b}` in "), "{}", error("home\x1b"));
    assert!(error("home").ends_with("it has `a`, `work`, `c`"), "{}", error("home"));
}
