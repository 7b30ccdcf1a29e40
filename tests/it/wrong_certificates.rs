//! Certificates that are wrong in any of the usual ways, with TLS from the first byte and after STLS: the connection is
//! refused, the fault is named, and no byte of a login is sent.

use std::fs;
use std::path::Path;

use crate::certificates::{Authority, Kind};
use crate::leaks::assert_no_secret;
use crate::mail::small_ones;
use crate::program::{Account, TestEnv, skip};
use crate::scripted::between::{Between, Manner};
use crate::scripted::maildrop::Maildrop;
use crate::tls_out_there::{Openssl, openssl};

fn mode(implicit: bool) -> &'static str {
    if implicit { "implicit" } else { "starttls" }
}

/// Fetches from a server with such a certificate, with implicit TLS and STLS.
fn refused(authority: &Authority, kind: Kind, change: impl Fn(Account) -> Account, says: &str) {
    for implicit in [true, false] {
        let maildrop = Maildrop::with(small_ones(1), |behaviour| {
            behaviour.tls = Some(authority.server_config(kind));
            behaviour.implicit_tls = implicit;
        });
        let account = Account::at(maildrop.server.address).tls(mode(implicit), &authority.ca_file);
        let env = TestEnv::in_memory(&[change(account)]);
        env.fetch().expect(69).says(says).says("no password was sent");
        assert!(env.mail().is_empty());
        maildrop.server.wait_until_idle();
        assert_no_secret(&maildrop.server.raw());
        // Nothing was sent inside TLS either.
        let lines: Vec<String> = maildrop.server.sessions().into_iter().flat_map(|session| session.lines).collect();
        assert!(lines.iter().all(|line| ["STLS", "CAPA", "QUIT"].contains(&line.as_str())), "{says}: {lines:?}");
    }
}

#[test]
fn who_nobody_vouches_for_is_refused() {
    let (dir, other_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (authority, other) = (Authority::new(dir.path()), Authority::new(other_dir.path()));
    refused(&authority, Kind::SelfSigned, |account| account, "is self-signed");
    let trusts = |account: Account| account.text("tls_ca_file", other.ca_file.to_str().unwrap());
    // It has the same name as the trusted one.
    refused(&authority, Kind::Good, trusts, "localhost is not signed by the authority that it names");
    refused(&authority, Kind::Good, |account| account.without("tls_ca_file"), "is not signed by an authority");
}

#[test]
fn a_certificate_out_of_its_time_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    refused(&authority, Kind::Expired, |account| account, "the certificate of localhost expired on 2020-01-01");
    refused(&authority, Kind::NotYetValid, |account| account, "is not valid yet, only from 2094-01-01");
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    refused(&authority, Kind::OtherName, |account| account, "is for pop.example.org, not for localhost");
    // An address instead of the name, the name instead of the address, and the address written as a name.
    refused(&authority, Kind::AddressOnly, |account| account, "is for 127.0.0.1, not for localhost");
    let by_address = |account: Account| account.text("host", "127.0.0.1");
    refused(&authority, Kind::Named(&["localhost"]), by_address, "is for localhost, not for 127.0.0.1");
    refused(&authority, Kind::Named(&["127.0.0.1"]), by_address, "is for the name 127.0.0.1 (not for the address)");
    // Without any names.
    refused(&authority, Kind::Named(&[]), |account| account, "names no host");
}

#[test]
fn a_wildcard_that_is_too_broad_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    for (names, host) in [
        (&["*"][..], "localhost"),
        (&["*."], "localhost"),
        (&["*.org"], "example.org"),
        (&["*.*"], "example.org"),
        (&["*.example.org"], "pop.mail.example.org"),
        (&["*.example.org"], "example.org"),
        (&["pop.*.org"], "pop.example.org"),
        (&["p*.example.org"], "pop.example.org"),
    ] {
        let called = |account: Account| account.text("tls_server_name", host);
        refused(&authority, Kind::Named(names), called, "the certificate of");
    }
}

#[test]
fn a_name_with_a_nul_in_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    for names in [&["localhost\0.example.org"][..], &["localhost\0"], &["\0localhost"], &["example.org\0localhost"]] {
        refused(&authority, Kind::Named(names), |account| account, "the certificate of");
    }
}

#[test]
fn a_key_that_is_not_the_pinned_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let pin = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let pinned = |account: Account| account.text("tls_pin", pin);
    refused(&authority, Kind::Good, pinned, "the public key of localhost is not a pinned one");
    let alone = |account: Account| pinned(account).without("tls_ca_file").text("tls_trust", "pin");
    refused(&authority, Kind::SelfSigned, alone, "is not a pinned one");
    // A correct pin does not make a wrong certificate acceptable.
    refused(&authority, Kind::OtherName, pinned, "is for pop.example.org, not for localhost");
}

/// An OpenSSL server with this certificate, with TLS from the first byte and after STLS.
fn weak(dir: &Path, ca_file: &str, certificate: &str, key: &str, says: &str) {
    let options = format!("ALL:@SECLEVEL=0 -cert {certificate} -key {key}");
    for implicit in [true, false] {
        let Some(server) = Openssl::serve(dir, &options) else { return skip("openssl is not there") };
        let manner = if implicit { Manner::Passes } else { Manner::AgreesToStls };
        let between = Between::before(server.address, manner);
        let account = Account::at(between.address).tls(mode(implicit), &dir.join(ca_file));
        let env = TestEnv::in_memory(&[account]);
        env.fetch().expect(69).says(says).says("no password was sent");
        assert_no_secret(&between.heard());
    }
}

#[test]
fn a_weak_key_and_a_weak_signature_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("leaf.ext"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:false\n").unwrap();
    let request = |bits: u32| {
        openssl(dir, &format!("req -newkey rsa:{bits} -nodes -subj /CN=x -keyout {bits}.key -out {bits}.csr"))
    };
    let authority = "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ca -keyout ca.key -out ca.pem";
    if !openssl(dir, authority) || !request(1024) || !request(2048) {
        return skip("openssl is not there (Debian package openssl), or makes no short keys");
    }
    let sign = |bits: u32, hash: &str| {
        let words = format!(
            "x509 -req -in {bits}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -{hash} -extfile leaf.ext -out \
             {bits}-{hash}.pem"
        );
        assert!(openssl(dir, &words));
    };
    sign(1024, "sha256");
    sign(2048, "sha1");
    weak(dir, "ca.pem", "1024-sha256.pem", "1024.key", "rests on an RSA key of 1024 bits, which is too short");
    weak(dir, "ca.pem", "2048-sha1.pem", "2048.key", "is signed in a way that is no longer safe");
}
