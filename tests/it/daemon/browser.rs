//! The status page in a real browser.

use std::io::copy;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::devtools::Browser;
use super::{Daemon, wait_for};
use crate::mail::small_ones;
use crate::program::{Account, TestEnv, skip};
use crate::scripted::maildrop::{Maildrop, Message};

/// Browsers cannot connect to Unix sockets: forwards a TCP address to one, and returns the address.
fn lead_to(socket: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket: PathBuf = socket.to_owned();
    std::thread::spawn(move || {
        for mut here in listener.incoming().map_while(Result::ok) {
            let Ok(mut there) = UnixStream::connect(&socket) else { continue };
            let (mut back_here, mut back_there) = (here.try_clone().unwrap(), there.try_clone().unwrap());
            std::thread::spawn(move || {
                drop(copy(&mut here, &mut there));
                drop(there.shutdown(std::net::Shutdown::Write));
            });
            std::thread::spawn(move || {
                drop(copy(&mut back_there, &mut back_here));
                drop(back_here.shutdown(std::net::Shutdown::Both));
            });
        }
    });
    format!("http://{address}")
}

/// What a person sees of the overview: the head line, the title, how many are in trouble, whether all is well.
const SEEN: &str = "[document.getElementById('status').textContent, document.title, \
                    document.querySelectorAll('article.trouble').length, document.querySelectorAll('.fine').length]";

#[test]
fn failures_appear_and_go_without_the_page_being_loaded_again() {
    let Some(mut browser) = Browser::start() else { return skip("it takes chromium") };
    let maildrop = Maildrop::new(small_ones(2));
    let address = maildrop.server.address;
    let env = TestEnv::in_memory(&[Account::at(address), Account::at(address).named("b")]);
    let socket = env.path("http.sock");
    env.configure_more(&format!("\n[daemon]\nhttp = {:?}\n", socket.display().to_string()));
    let daemon = Daemon::start(&env);
    for name in ["a", "b"] {
        wait_for("the mail", || {
            daemon.account(name)["total"]["messages"] == 2 && daemon.account(name)["state"] == "idle"
        });
    }
    let base = lead_to(&socket);
    browser.ask(
        "Emulation.setDeviceMetricsOverride",
        &json!({ "width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": true }),
    );
    browser.open(&format!("{base}/"));
    // It would be lost if the page were reloaded.
    browser.value("window.mark = 'here'; document.getElementById('a0').focus(); 0");
    let well = json!(["2 accounts: 2 well, 0 in trouble, 0 being polled", "mailferry", 0, 1]);
    wait_for("all to be well", || browser.value(SEEN) == well);

    maildrop.change(|contents| contents.behaviour.login_answer = Some("-ERR [AUTH] <b>no</b>".to_owned()));
    env.run(&["poll"]).expect(0);
    wait_for("the failure", || {
        // Two accounts at one server get one card.
        browser.value(SEEN) == json!(["2 accounts: 0 well, 2 in trouble, 0 being polled", "(2) mailferry", 1, 0])
    });
    let card = browser.value("document.querySelector('article.trouble').innerText");
    let card = card.as_str().unwrap();
    assert!(card.starts_with("2 accounts at 127.0.0.1") && card.contains("<b>no</b>"), "{card}");
    let shown =
        "const box = document.querySelector('article.trouble').getBoundingClientRect(); box.top >= 0 && box.top < 370";
    assert_eq!(browser.value(shown), true, "it is seen without scrolling");

    maildrop.change(|contents| {
        contents.behaviour.login_answer = None;
        contents.messages.push(Message::new("u9", b"Subject: new\r\n\r\nnew\r\n"));
    });
    env.run(&["poll"]).expect(0);
    wait_for("all to be well again", || browser.value(SEEN) == well);
    wait_for("the new mail", || browser.value("document.querySelector('svg title').textContent.split(' ')[0]") == "3");
    assert_eq!(browser.value("[window.mark, document.activeElement.id]"), json!(["here", "a0"]));
    assert_eq!(browser.value("document.documentElement.scrollWidth"), 360, "nothing is wider than a phone");

    assert!(browser.errors().is_empty(), "{:?}", browser.errors());
    let elsewhere: Vec<_> =
        browser.requested().into_iter().filter(|url| !url.starts_with(&base) && !url.starts_with("data:")).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");

    // What was shown last stays, with a note that nobody answers.
    daemon.end();
    wait_for("the word that nobody answers", || browser.value("document.getElementById('stale').hidden") == false);
    assert_eq!(browser.value(SEEN), well);
}

#[test]
fn the_page_works_without_scripts() {
    let Some(mut browser) = Browser::start() else { return skip("it takes chromium") };
    let maildrop = Maildrop::new(small_ones(1));
    let env = TestEnv::in_memory(&[Account::at(maildrop.server.address).text("password", "not this one")]);
    let socket = env.path("http.sock");
    env.configure_more(&format!("\n[daemon]\nhttp = {:?}\n", socket.display().to_string()));
    let daemon = Daemon::start(&env);
    wait_for("the refusal", || daemon.account("a")["state"] == "trouble");
    let base = lead_to(&socket);
    browser.ask("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    browser.open(&format!("{base}/"));
    assert_eq!(browser.value("document.querySelector('#troubles').textContent"), "1 account in trouble");
    let refresh = browser.value("document.querySelector('noscript meta').content");
    assert_eq!(refresh, "30", "the browser loads it again by itself");
    browser.open(&format!("{base}/account/a"));
    assert_eq!(browser.value("document.querySelector('h1').textContent"), "a");
    assert!(browser.errors().is_empty(), "{:?}", browser.errors());
    daemon.end();
}
