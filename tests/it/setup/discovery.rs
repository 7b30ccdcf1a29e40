//! How the server of an address is found, and what is not trusted.

use super::*;

fn web(authority: &Authority, name: &str) -> Arc<ServerConfig> {
    authority.server_config_for(&[name])
}

#[test]
fn a_forged_record_gets_no_password_without_a_word() {
    let stage = Stage::with(&["pop.evil.test"], 1);
    let dns = Dns::with(&[("_pop3s._tcp.ferry.test", SRV, srv(0, 995, "pop.evil.test"))]);
    let proxy = Proxy::to(&[("pop.evil.test:995", stage.maildrop.server.address)]);
    let outcome = stage.run(PASSWORD, &dns, &proxy, &[ADDRESS, "--username", USER]).expect(64);
    assert!(outcome.stderr.contains("--accept-host pop.evil.test"), "{outcome:#?}");
    stage.wrote_nothing();
    stage.nobody_logged_in();
    // Accepting another host is not enough.
    stage.run(PASSWORD, &dns, &proxy, &[ADDRESS, "--username", USER, "--accept-host", "evil.test"]).expect(64);
    stage.nobody_logged_in();

    let resolver = dns.address.to_string();
    let words = ["setup", ADDRESS, "--resolver", &resolver, "--proxy", &proxy.url, "--ispdb", "no"];
    let trust = [("SSL_CERT_FILE", stage.authority.ca_file.to_str().unwrap())];
    let (mut terminal, mut running) = Terminal::start(&stage.env, 80, &trust, &words);
    terminal.wait_for("Log in at pop.evil.test? [no]:");
    terminal.type_in("\r");
    terminal.wait_for("No POP3 server was found");
    terminal.wait_for("POP3 server (port 995, TLS):");
    terminal.type_in("\u{4}");
    wait_for("the end", || !running.is_running());
    assert_eq!(running.wait().status, 64);
    stage.nobody_logged_in();
    stage.wrote_nothing();

    let more = [ADDRESS, "--username", USER, "--accept-host", "POP.evil.test."];
    stage.run(PASSWORD, &dns, &proxy, &more).expect(0);
    assert!(stage.configuration().contains("host = \"pop.evil.test\""));
}

#[test]
fn the_domains_own_document_is_asked_by_https_and_names_server_and_user() {
    let stage = Stage::with(&["mx7.ferry.test"], 2);
    let paths = [
        ("/mail/config-v1.1.xml", "HTTP/1.1 302 Found\r\nLocation: /moved.xml\r\nContent-Length: 0\r\n\r\n".to_owned()),
        ("/moved.xml", autoconfig("mx7.%EMAILDOMAIN%", "%EMAILLOCALPART%")),
    ];
    let documents = web_server(web(&stage.authority, "autoconfig.ferry.test"), &paths);
    let proxy =
        Proxy::to(&[("autoconfig.ferry.test:443", documents), ("mx7.ferry.test:995", stage.maildrop.server.address)]);
    stage.run(PASSWORD, &Dns::with(&[]), &proxy, &[ADDRESS]).expect(0).says("the domain's autoconfig document");
    assert!(stage.configuration().contains(&format!("username = \"{USER}\"")), "{}", stage.configuration());
    let clear = |place: &String| place.ends_with(":80") || place.ends_with(":110");
    assert!(!proxy.asked().iter().any(clear), "{:?}", proxy.asked());
    stage.command(&["fetch"]).expect(0).says("2 new messages");
}

#[test]
fn a_redirection_to_clear_text_is_not_followed() {
    let stage = Stage::with(&["mx7.ferry.test"], 1);
    let away = "HTTP/1.1 301 Moved\r\nLocation: http://autoconfig.ferry.test/mail/config-v1.1.xml\r\nContent-Length: 0\r\n\r\n";
    let documents =
        web_server(web(&stage.authority, "autoconfig.ferry.test"), &[("/mail/config-v1.1.xml", away.to_owned())]);
    let proxy = Proxy::to(&[("autoconfig.ferry.test:443", documents)]);
    stage.run(PASSWORD, &Dns::with(&[]), &proxy, &[ADDRESS, "--ispdb", "no"]).expect(64).says("give --host");
    assert!(!proxy.asked().iter().any(|place| place.ends_with(":80")), "{:?}", proxy.asked());
    stage.wrote_nothing();
}

#[test]
fn a_providers_description_counts_if_its_digest_is_in_dns() {
    let stage = Stage::with(&["inbox.ferry.test"], 1);
    let body = r#"{"protocols":{"pop3":{"host":"inbox.ferry.test"}},"authentication":{"password":true},"info":{}}"#;
    let path = "/.well-known/user-agent-configuration.json";
    let documents = web_server(web(&stage.authority, "ua-auto-config.ferry.test"), &[(path, document(body))]);
    let proxy = Proxy::to(&[
        ("ua-auto-config.ferry.test:443", documents),
        ("inbox.ferry.test:995", stage.maildrop.server.address),
    ]);
    let record = |body: &str| format!("v=UAAC1; a=sha256; d={}", BASE64_STANDARD.encode(Sha256::digest(body)));
    let forged = Dns::with(&[("_ua-auto-config.ferry.test", TXT, txt(&record("another one")))]);
    let more = [ADDRESS, "--username", USER, "--ispdb", "no"];
    stage.run(PASSWORD, &forged, &proxy, &more).expect(64);
    stage.wrote_nothing();
    let dns = Dns::with(&[("_ua-auto-config.ferry.test", TXT, txt(&record(body)))]);
    stage.run(PASSWORD, &dns, &proxy, &more).expect(0).says("PACC");
    assert!(stage.configuration().contains("host = \"inbox.ferry.test\""));
}

#[test]
fn a_provider_of_the_table_is_known_and_nobody_is_asked() {
    let stage = Stage::with(&["pop.qq.com"], 1);
    let dns = Dns::with(&[]);
    let proxy = Proxy::to(&[("pop.qq.com:995", stage.maildrop.server.address)]);
    let outcome = stage.run(PASSWORD, &dns, &proxy, &["jo@qq.com", "--username", USER]).expect(0);
    // The output says which secret it accepts, and where to switch POP3 on.
    assert!(outcome.stdout.contains("授权码") && outcome.stdout.contains("mail.qq.com"), "{outcome:#?}");
    assert!(stage.configuration().contains("[accounts.qq]\nprovider = \"qq\"\n"), "{}", stage.configuration());
    assert!(dns.asked().is_empty() && proxy.asked().iter().all(|place| place == "pop.qq.com:995"));
    stage.command(&["fetch"]).expect(0).says("1 new message");
}

#[test]
fn what_has_no_pop3_is_said_before_anything_is_asked() {
    let stage = Stage::with(&["x.test"], 0);
    let (dns, proxy) = (Dns::with(&[]), Proxy::to(&[]));
    stage.run("", &dns, &proxy, &["jo@icloud.com"]).expect(78).says("iCloud Mail has no POP3");
    // Another provider without POP3.
    stage.run("", &dns, &proxy, &["jo@proton.me"]).expect(78).says("no POP3");
    // No option is required first.
    stage.command(&["setup", "jo@icloud.com"]).expect(78).says("iCloud Mail has no POP3");
    let words =
        ["setup", "jo@outlook.com", "--sign-in", "--maildir", "~/m", "--leave-on-server", "yes", "--messages", "all"];
    stage.command(&words).expect(64).says("--client-id");
    assert!(dns.asked().is_empty() && proxy.asked().is_empty());
    stage.wrote_nothing();
}

#[test]
fn the_ispdb_is_asked_only_at_a_word_and_a_guess_is_verified() {
    let stage = Stage::with(&["mail.ferry.test"], 1);
    let ispdb = web_server(
        web(&stage.authority, "autoconfig.thunderbird.net"),
        &[("/v1.1/ferry.test", autoconfig("pop.hoster.test", "%EMAILLOCALPART%"))],
    );
    let hoster = Maildrop::with(small_ones(1), |behaviour| {
        behaviour.tls = Some(stage.authority.server_config_for(&["pop.hoster.test"]));
        behaviour.implicit_tls = true;
    });
    // Its certificate is for another name.
    let impostor = stage.maildrop.server.address;
    let proxy = Proxy::to(&[
        ("autoconfig.thunderbird.net:443", ispdb),
        ("pop.hoster.test:995", hoster.server.address),
        ("pop.ferry.test:995", impostor),
        ("mail.ferry.test:995", stage.maildrop.server.address),
    ]);
    let dns = Dns::with(&[]);
    let was_asked = || proxy.asked().iter().any(|place| place.contains("thunderbird"));
    // There is no terminal to ask at.
    stage.run(PASSWORD, &dns, &proxy, &[ADDRESS]).expect(64).says("--ispdb");
    assert!(!was_asked());
    let more = [ADDRESS, "--username", USER, "--ispdb"];
    stage.run(PASSWORD, &dns, &proxy, &[&more[..], &["no"]].concat()).expect(0).says("a guess");
    assert!(!was_asked());
    assert!(stage.configuration().contains("host = \"mail.ferry.test\""), "{}", stage.configuration());
    fs::remove_file(stage.env.path("config.toml")).unwrap();

    stage.run(PASSWORD, &dns, &proxy, &[&more[..], &["yes"]].concat()).expect(64).says("--accept-host pop.hoster.test");
    let accepted = [&more[..], &["yes", "--accept-host", "pop.hoster.test"]].concat();
    stage.run(PASSWORD, &dns, &proxy, &accepted).expect(0).says("the ISPDB");
    assert!(was_asked() && stage.configuration().contains("host = \"pop.hoster.test\""));
}

#[test]
fn where_no_server_is_found_the_option_is_named() {
    let stage = Stage::with(&["x.test"], 0);
    let (dns, proxy) = (Dns::with(&[]), Proxy::to(&[]));
    let outcome = stage.run(PASSWORD, &dns, &proxy, &[ADDRESS, "--ispdb", "no"]).expect(64);
    assert!(outcome.stderr.contains("no POP3 server was found for ferry.test; give --host"), "{outcome:#?}");
    stage.wrote_nothing();
    // With --host nothing is looked up.
    let asked = dns.asked().len();
    stage.run(PASSWORD, &dns, &proxy, &[ADDRESS, "--host", "pop.ferry.test"]).expect(75);
    assert_eq!(dns.asked().len(), asked);
    stage.run(PASSWORD, &dns, &proxy, &[ADDRESS, "--host", "no host"]).expect(78).says("is not a host name");
    stage.run(PASSWORD, &dns, &proxy, &["jo"]).expect(64).says("not a mail address");
    stage.wrote_nothing();
}

#[test]
fn dns_that_does_not_answer_is_another_time() {
    let stage = Stage::with(&["x.test"], 0);
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let resolver = silent.local_addr().unwrap().to_string();
    let proxy = Proxy::to(&[]);
    let words = stage.words(&resolver, &proxy, &[ADDRESS, "--ispdb", "no"]);
    stage.with_input("x\n", &words).expect(75).says("DNS does not answer");
    stage.wrote_nothing();
}
