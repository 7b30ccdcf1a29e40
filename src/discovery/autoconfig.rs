//! Documents in the format of Thunderbird's autoconfig (draft-ietf-mailmaint-autoconfig), from the domain itself or
//! from the ISPDB. PURE.

use roxmltree::{Document, Node};

use super::address::host_name;
use super::{Candidate, MailAddress, Source};
use crate::account::TlsMode;

/// The host of the database maintained by the Thunderbird project.
pub(crate) const ISPDB: &str = "autoconfig.thunderbird.net";

/// Returns the URLs where a domain may describe its servers, all https. The mail address is sent only to hosts of its
/// own domain.
#[must_use]
pub(crate) fn urls(address: &MailAddress) -> [String; 2] {
    let domain = address.domain();
    let query: String = url::form_urlencoded::byte_serialize(address.to_string().as_bytes()).collect();
    [
        format!("https://autoconfig.{domain}/mail/config-v1.1.xml?emailaddress={query}"),
        format!("https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml"),
    ]
}

/// Returns the URL of the ISPDB's description of a domain. Only the domain is sent.
#[must_use]
pub(crate) fn ispdb_url(domain: &str) -> String {
    format!("https://{ISPDB}/v1.1/{domain}")
}

/// Returns the POP3 servers in a document, in its order, without those that do not use TLS.
#[must_use]
pub(crate) fn candidates(document: &[u8], source: Source, address: &MailAddress) -> Vec<Candidate> {
    let Ok(text) = str::from_utf8(document) else { return Vec::new() };
    // A DTD is rejected: entities could expand a few lines to gigabytes.
    let Ok(document) = Document::parse(text.trim_start_matches('\u{feff}')) else { return Vec::new() };
    let is_ours = |node: &Node<'_, '_>| {
        node.has_tag_name("incomingServer")
            && node.attribute("type").is_some_and(|kind| kind.eq_ignore_ascii_case("pop3"))
    };
    document.descendants().filter(is_ours).filter_map(|server| candidate(server, source, address)).collect()
}

fn candidate(server: Node<'_, '_>, source: Source, address: &MailAddress) -> Option<Candidate> {
    let text = |name: &str| server.children().find(|node| node.has_tag_name(name))?.text().map(str::trim);
    let tls = match text("socketType")?.to_ascii_uppercase().as_str() {
        "SSL" | "TLS" => TlsMode::Implicit,
        "STARTTLS" => TlsMode::StartTls,
        _ => return None,
    };
    let host = host_name(&filled_in(text("hostname")?, address))?;
    let port = text("port")?.parse().ok().filter(|port| *port != 0)?;
    let username = text("username").map_or_else(|| address.to_string(), |pattern| filled_in(pattern, address));
    let ways = server.children().filter(|node| node.has_tag_name("authentication"));
    let mut ways = ways.filter_map(|node| node.text()).map(str::trim);
    let oauth_only = ways.next().is_some_and(|way| way.eq_ignore_ascii_case("OAuth2"))
        && ways.all(|way| way.eq_ignore_ascii_case("OAuth2"));
    let good = !username.is_empty() && username.len() <= 255 && !username.chars().any(char::is_control);
    good.then_some(Candidate { host, port, tls, username, oauth_only, source })
}

/// Replaces the placeholders in a text by the parts of the address.
fn filled_in(pattern: &str, address: &MailAddress) -> String {
    pattern
        .replace("%EMAILADDRESS%", &address.to_string())
        .replace("%EMAILLOCALPART%", address.local())
        .replace("%EMAILDOMAIN%", address.domain())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(servers: &str) -> Vec<Candidate> {
        let document = format!(
            "<?xml version=\"1.0\"?><clientConfig version=\"1.1\"><emailProvider id=\"x\">{servers}</emailProvider></clientConfig>"
        );
        candidates(document.as_bytes(), Source::Autoconfig, &MailAddress::new("jo@example.org").unwrap())
    }

    fn server(kind: &str, host: &str, port: &str, socket: &str, rest: &str) -> String {
        format!(
            "<incomingServer type=\"{kind}\"><hostname>{host}</hostname><port> {port} </port>\
             <socketType>{socket}</socketType>{rest}</incomingServer>"
        )
    }

    #[test]
    fn pop3_servers_with_tls_are_found_in_their_order() {
        let found = read(
            &[
                server("imap", "i.x.org", "993", "SSL", ""),
                server("pop3", "clear.x.org", "110", "plain", ""),
                server("pop3", "POP.%EMAILDOMAIN%", "995", "SSL", "<username>%EMAILLOCALPART%</username>"),
                server("pop3", "b.x.org", "110", "STARTTLS", "<username>%EMAILADDRESS%</username>"),
            ]
            .concat(),
        );
        let told: Vec<_> =
            found.iter().map(|one| (one.host.as_str(), one.port, one.tls, one.username.as_str())).collect();
        assert_eq!(
            told,
            [("pop.example.org", 995, TlsMode::Implicit, "jo"), ("b.x.org", 110, TlsMode::StartTls, "jo@example.org"),]
        );
    }

    #[test]
    fn whether_only_oauth_is_taken_is_seen() {
        let one = |ways: &str| read(&server("pop3", "p.x.org", "995", "SSL", ways))[0].oauth_only;
        assert!(one("<authentication>OAuth2</authentication>"));
        assert!(!one("<authentication>OAuth2</authentication><authentication>password-cleartext</authentication>"));
        assert!(!one(""));
    }

    #[test]
    fn what_makes_no_sense_counts_as_nothing() {
        for bad in [
            server("pop3", "a b", "995", "SSL", ""),
            server("pop3", "127.0.0.1", "995", "SSL", ""),
            server("pop3", "p.x.org", "0", "SSL", ""),
            server("pop3", "p.x.org", "70000", "SSL", ""),
            server("pop3", "p.x.org", "995", "", ""),
            server("pop3", "p.x.org", "995", "SSL", "<username>a&#10;b</username>"),
        ] {
            assert_eq!(read(&bad), [], "{bad}");
        }
        let address = MailAddress::new("jo@example.org").unwrap();
        for document in [&b""[..], b"<html>", b"\xff\xfe", b"<!DOCTYPE x [<!ENTITY a \"b\">]><x>&a;</x>"] {
            assert!(candidates(document, Source::Ispdb, &address).is_empty());
        }
    }

    #[test]
    fn documents_are_asked_for_by_https_alone() {
        let address = MailAddress::new("jo+x@example.org").unwrap();
        let [first, second] = urls(&address);
        assert_eq!(first, "https://autoconfig.example.org/mail/config-v1.1.xml?emailaddress=jo%2Bx%40example.org");
        assert_eq!(second, "https://example.org/.well-known/autoconfig/mail/config-v1.1.xml");
        assert_eq!(ispdb_url("example.org"), "https://autoconfig.thunderbird.net/v1.1/example.org");
    }
}
