//! The provider's own description of its servers (draft-ietf-mailmaint-pacc): a JSON document at a fixed URL below the
//! domain, which is valid only if its digest is in DNS. PURE.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::address::host_name;
use super::{Candidate, MailAddress, Source};

/// Returns the URL of the document.
#[must_use]
pub(crate) fn url(domain: &str) -> String {
    format!("https://ua-auto-config.{domain}/.well-known/user-agent-configuration.json")
}

/// Returns the name of the TXT record with its digest.
#[must_use]
pub(crate) fn digest_name(domain: &str) -> String {
    format!("_ua-auto-config.{domain}.")
}

#[derive(Deserialize)]
struct Document {
    protocols: Protocols,
}

#[derive(Deserialize)]
struct Protocols {
    pop3: Option<TextProtocol>,
}

#[derive(Deserialize)]
struct TextProtocol {
    host: String,
}

/// Whether one of the records has the digest of the document: `v=UAAC1; a=sha256; d=BASE64`.
#[must_use]
pub(crate) fn is_confirmed(document: &[u8], records: &[Vec<u8>]) -> bool {
    let digest = Sha256::digest(document);
    records.iter().filter_map(|record| digest_in(record)).any(|told| told == digest.as_slice())
}

fn digest_in(record: &[u8]) -> Option<Vec<u8>> {
    let text = str::from_utf8(record).ok()?;
    let tag = |name: &str| {
        let mut tags = text.split(';').filter_map(|tag| tag.split_once('='));
        tags.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
    };
    let known = tag("v") == Some("UAAC1") && tag("a") == Some("sha256");
    known.then(|| tag("d"))?.and_then(|digest| BASE64_STANDARD.decode(digest).ok())
}

/// Returns the POP3 server in a document. It has implicit TLS on the usual port, and takes the full address.
#[must_use]
pub(crate) fn candidate(document: &[u8], address: &MailAddress) -> Option<Candidate> {
    let document: Document = serde_json::from_slice(document).ok()?;
    let host = host_name(&document.protocols.pop3?.host)?;
    Some(Candidate { host, ..Candidate::plain(Source::Pacc, address) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &[u8] =
        br#"{"protocols":{"imap":{"host":"i.x"},"pop3":{"host":"pop.example.org"}},"authentication":{"password":true},"info":{}}"#;

    fn record(document: &[u8]) -> Vec<u8> {
        format!("v=UAAC1; a=sha256; d={}", BASE64_STANDARD.encode(Sha256::digest(document))).into_bytes()
    }

    #[test]
    fn a_document_counts_if_its_digest_is_in_dns() {
        assert!(is_confirmed(DOCUMENT, &[b"v=spf1".to_vec(), record(DOCUMENT)]));
        assert!(!is_confirmed(DOCUMENT, &[record(b"another one")]));
        assert!(!is_confirmed(DOCUMENT, &[]));
        for wrong in
            [&b"v=UAAC2; a=sha256; d=AAAA"[..], b"v=UAAC1; a=md5; d=AAAA", b"v=UAAC1; a=sha256; d=!", b"\xff", b""]
        {
            assert!(!is_confirmed(DOCUMENT, &[wrong.to_vec()]));
        }
    }

    #[test]
    fn its_pop3_server_is_found() {
        let address = MailAddress::new("jo@example.org").unwrap();
        let found = candidate(DOCUMENT, &address).unwrap();
        assert_eq!(
            (found.host.as_str(), found.port, found.username.as_str()),
            ("pop.example.org", 995, "jo@example.org")
        );
        for none in [
            &b"{}"[..],
            b"",
            b"[1]",
            br#"{"protocols":{"imap":{"host":"i.x"}}}"#,
            br#"{"protocols":{"pop3":{"host":"a b"}}}"#,
        ] {
            assert_eq!(candidate(none, &address), None);
        }
    }
}
