//! The text of [`NetError`].

use std::fmt::{self, Display, Formatter};
use std::io;
use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;

use super::{CaFileProblem, CertificateProblem, ClientCertificateProblem, HandshakeProblem, NetError, ProxyProblem};
use crate::account::TlsMode;
use crate::text;

/// How many names or addresses are listed: more would help nobody.
const LISTED: usize = 8;

/// Where longer texts from a server are cut off, in characters.
const LONGEST: usize = 300;

impl Display for NetError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { host, source } => {
                let why = plain(source);
                let why = why.strip_prefix("failed to lookup address information: ").unwrap_or(&why);
                write!(f, "cannot find the address of {host}: {why}")
            }
            Self::NoAddressOnRoute { .. } | Self::SourceAddress { .. } | Self::Proxy { .. } => self.fmt_route(f),
            Self::LookupsHang { host, limit, hanging } => write!(
                f,
                "cannot find the address of {host} within {} s: {hanging} lookups of other names are still pending",
                limit.as_secs_f32()
            ),
            Self::NoAddress { host } => write!(f, "{host} has no address"),
            Self::Connect { host, port, attempts } => {
                write!(f, "cannot connect to {host} port {port}: ")?;
                write_attempts(f, attempts, &[])
            }
            Self::ConnectTimeout { host, limit, attempts, unanswered, .. }
                if attempts.is_empty() && unanswered.is_empty() =>
            {
                write!(f, "cannot find the address of {host} within {} s", limit.as_secs_f32())
            }
            Self::ConnectTimeout { host, port, limit, attempts, unanswered } => {
                write!(f, "cannot connect to {host} port {port} within {} s: ", limit.as_secs_f32())?;
                write_attempts(f, attempts, unanswered)
            }
            Self::TlsTimeout { .. } | Self::NotTls { .. } | Self::ClosedDuringHandshake { .. } => self.fmt_not_begun(f),
            Self::Certificate { host, problem } => write_certificate(f, host, problem),
            Self::Handshake { host, port, problem, .. } => write_handshake(f, host, *port, problem),
            Self::CaFile { path, why } => {
                write!(f, "cannot use the file {} of trusted authorities: {why}", text::path(path))
            }
            Self::ClientCertificate { path, why } => {
                write!(f, "cannot use the file {} as a client certificate: ", text::path(path))?;
                write_client_certificate(f, why)
            }
            Self::NoTrustStore { why } => {
                write!(f, "this machine has no certificates of authorities to trust ({})", words(why))
            }
            Self::System { source } => write!(f, "cannot begin to connect: {}", plain(source)),
            Self::InvalidName { host } => write!(f, "there can be no certificate for the host {}", text::value(host)),
        }
    }
}

impl NetError {
    /// Formats errors of the route to the server that the account requires.
    fn fmt_route(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddressOnRoute { host } => {
                write!(f, "{host} has no address of the IP version that the account asks for")
            }
            Self::SourceAddress { address, source } => {
                write!(f, "cannot connect from the address {address}: {}", plain(source))
            }
            Self::Proxy { proxy, problem } => write_proxy(f, proxy, problem),
            _ => Ok(()),
        }
    }

    /// Formats errors of a TLS handshake that never got anywhere.
    fn fmt_not_begun(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::TlsTimeout { host, port, limit, .. } => {
                write!(f, "{host} port {port} did not finish the TLS handshake within {} s", limit.as_secs_f32())
            }
            Self::NotTls { host, port, tls: TlsMode::StartTls } => {
                write!(f, "{host} port {port} agreed to STLS and then went on in plain text; no password was sent")
            }
            Self::NotTls { host, port, .. } => {
                write!(f, "port {port} of {host} does not begin with TLS; no password was sent")
            }
            Self::ClosedDuringHandshake { host, port, source, .. } => {
                write!(f, "{host} port {port} closed the connection during the TLS handshake")?;
                match source.kind() {
                    io::ErrorKind::UnexpectedEof => Ok(()),
                    _ => write!(f, " ({})", plain(source)),
                }
            }
            _ => Ok(()),
        }
    }
}

impl Display for CaFileProblem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(source) => f.write_str(&plain(source)),
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::TooLarge(octets) => write!(f, "it has {octets} octets"),
            Self::TooSlow(limit) => write!(f, "reading it took longer than {} s", limit.as_secs_f32()),
            Self::NoCertificate => f.write_str("it holds no certificate in PEM form"),
            Self::Damaged { number, why } => {
                write!(f, "its certificate number {number} is damaged ({})", words(why))
            }
        }
    }
}

/// Formats why a proxy made no connection.
fn write_proxy(f: &mut Formatter<'_>, proxy: &str, problem: &ProxyProblem) -> fmt::Result {
    match problem {
        ProxyProblem::Unreachable(error) => write!(f, "the proxy {proxy} cannot be reached: {error}"),
        ProxyProblem::NotAProxy => write!(f, "the proxy {proxy} does not speak the protocol that its address names"),
        ProxyProblem::CredentialsRefused => write!(f, "the proxy {proxy} refused the name and password for it"),
        ProxyProblem::Refused(why) => write!(f, "the proxy {proxy} could not connect to the server: {}", words(why)),
        ProxyProblem::Lost(error) => write!(f, "the connection to the proxy {proxy} broke: {}", plain(error)),
        ProxyProblem::TimedOut(limit) => {
            write!(f, "the proxy {proxy} did not connect to the server within {} s", limit.as_secs_f32())
        }
    }
}

/// Formats why a client certificate cannot be used.
fn write_client_certificate(f: &mut Formatter<'_>, why: &ClientCertificateProblem) -> fmt::Result {
    match why {
        ClientCertificateProblem::Read(source) => f.write_str(&plain(source)),
        ClientCertificateProblem::NotAFile => f.write_str("it is not a regular file"),
        ClientCertificateProblem::TooLarge => f.write_str("it is too large for a certificate or a key"),
        ClientCertificateProblem::TooSlow(limit) => write!(f, "reading it took longer than {} s", limit.as_secs_f32()),
        ClientCertificateProblem::NoCertificate => f.write_str("it holds no certificate in PEM form"),
        ClientCertificateProblem::NoKey => f.write_str("it holds no private key in PEM form that is not encrypted"),
        ClientCertificateProblem::Exposed { mode } => {
            write!(f, "every user of this machine can read the key (its mode is {mode:04o})")
        }
        ClientCertificateProblem::Mismatch => f.write_str("the key does not belong to the certificate"),
        ClientCertificateProblem::Unusable(why) => f.write_str(&words(why)),
    }
}

/// Formats why a certificate is not trusted.
fn write_certificate(f: &mut Formatter<'_>, host: &str, problem: &CertificateProblem) -> fmt::Result {
    match problem {
        CertificateProblem::Expired { not_after } => {
            write!(f, "the certificate of {host} expired")?;
            not_after.map_or(Ok(()), |time| write!(f, " on {}", utc(time)))?;
        }
        CertificateProblem::NotYetValid { not_before } => {
            write!(f, "the certificate of {host} is not valid yet")?;
            not_before.map_or(Ok(()), |time| write!(f, ", only from {}", utc(time)))?;
        }
        CertificateProblem::WrongName { presented, .. } if presented.is_empty() => {
            write!(f, "the certificate of the server at {host} names no host (in subjectAltName)")?;
        }
        CertificateProblem::WrongName { presented, .. } => {
            let names = list(presented.iter().map(|name| words(name)));
            write!(f, "the certificate of the server is for {names}, not for {host}")?;
        }
        CertificateProblem::UnknownIssuer => {
            write!(f, "the certificate of {host} is not signed by an authority that is trusted here")?;
        }
        CertificateProblem::SelfSigned => {
            write!(f, "the certificate of {host} is self-signed")?;
        }
        CertificateProblem::WrongKey { pin } => {
            write!(f, "the public key of {host} is not a pinned one: it is {}", words(pin))?;
        }
        CertificateProblem::Revoked => write!(f, "the certificate of {host} was revoked by its authority")?,
        CertificateProblem::Other(why) => write!(f, "the certificate of {host} {}", words(why))?,
    }
    f.write_str("; no password was sent")
}

/// Formats why the two sides could not agree.
fn write_handshake(f: &mut Formatter<'_>, host: &str, port: u16, problem: &HandshakeProblem) -> fmt::Result {
    match problem {
        HandshakeProblem::OldVersions => write!(f, "{host} port {port} offers only TLS versions before 1.2")?,
        HandshakeProblem::NothingInCommon => write!(
            f,
            "{host} port {port} offers no cipher or key exchange that is safe today: DHE, static RSA and CBC are not \
             (mailferry has ECDHE or X25519MLKEM768 with AES-GCM or ChaCha20-Poly1305)"
        )?,
        HandshakeProblem::NoPostQuantum => {
            write!(f, "{host} port {port} offers no key exchange that is safe from quantum computers")?;
        }
        HandshakeProblem::NameRefused => {
            write!(f, "the server at {host} port {port} says that it is not called {host}")?;
        }
        HandshakeProblem::ClientCertificateWanted => {
            write!(f, "the server at {host} port {port} wants a client certificate, and mailferry has none to show")?;
        }
        HandshakeProblem::ClientCertificateRefused => {
            write!(f, "the server at {host} port {port} refused the client certificate")?;
        }
        HandshakeProblem::Other(why) | HandshakeProblem::NotUnderstood(why) => {
            write!(f, "the TLS handshake with {host} port {port} failed: {}", words(why))?;
        }
    }
    f.write_str("; no password was sent")
}

/// Formats what happened at each address: `192.0.2.1: connection refused; [2001:db8::1]: no answer`.
fn write_attempts(
    f: &mut Formatter<'_>,
    attempts: &[(SocketAddr, io::Error)],
    unanswered: &[SocketAddr],
) -> fmt::Result {
    let failed = attempts.iter().map(|(address, why)| format!("{}: {}", ip(address), plain(why)));
    let silent = unanswered.iter().map(|address| format!("{}: no answer", ip(address)));
    let total = attempts.len() + unanswered.len();
    let shown: Vec<String> = failed.chain(silent).take(LISTED).collect();
    f.write_str(&shown.join("; "))?;
    match total - shown.len() {
        0 => Ok(()),
        more => write!(f, "; and {more} more addresses"),
    }
}

/// Formats an address without its port, an IPv6 address in brackets that separate it from the text around it.
fn ip(address: &SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// Formats an operating system's error as part of a sentence: `connection refused`.
fn plain(error: &io::Error) -> String {
    let text = text::system(error);
    let mut letters = text.chars();
    // Acronyms keep their capitals: only a word that continues in lower case loses its capital.
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain([second]).chain(letters).collect()
        }
        _ => text,
    }
}

/// Formats a time for display: `2026-01-31 23:59:59 UTC`.
fn utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Lists the first few items.
fn list(words: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = words.collect();
    let more = all.len().saturating_sub(LISTED);
    all.truncate(LISTED);
    let mut text = all.join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// Cuts text that a server may have chosen.
fn words(text: &str) -> String {
    text::cut_words(text, LONGEST)
}

#[cfg(test)]
mod tests;
