//! Why a connection could not be had. Every text is one line.

mod text;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::account::TlsMode;

/// Why a connection could not be had.
#[derive(Debug)]
pub enum NetError {
    /// The host's name could not be resolved.
    Resolve {
        /// As configured.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The host's name is known, but no address belongs to it.
    NoAddress {
        /// As configured.
        host: String,
    },
    /// The host has addresses, but none of the version of IP that was asked for.
    NoAddressOnRoute {
        /// As configured.
        host: String,
    },
    /// No connection can come from the source address that was asked for.
    SourceAddress {
        /// As configured.
        address: IpAddr,
        /// Why not.
        source: io::Error,
    },
    /// The proxy could not connect to the server.
    Proxy {
        /// The proxy, without its credentials.
        proxy: String,
        /// Why not.
        problem: ProxyProblem,
    },
    /// Every address failed.
    Connect {
        /// As configured.
        host: String,
        /// As configured.
        port: u16,
        /// What happened at each address.
        attempts: Vec<(SocketAddr, io::Error)>,
    },
    /// Resolving and connecting took too long together.
    ConnectTimeout {
        /// As configured.
        host: String,
        /// As configured.
        port: u16,
        /// The time it was given.
        limit: Duration,
        /// The addresses that failed.
        attempts: Vec<(SocketAddr, io::Error)>,
        /// The addresses that had not answered. When this and `attempts` are empty, the resolver had not.
        unanswered: Vec<SocketAddr>,
    },
    /// The server let the TLS handshake hang.
    TlsTimeout {
        /// As configured.
        host: String,
        /// As configured.
        port: u16,
        /// How TLS had begun.
        tls: TlsMode,
        /// The time it was given.
        limit: Duration,
        /// Whether the server had said anything.
        heard: bool,
    },
    /// The server answered the beginning of TLS in plain text.
    NotTls {
        /// As configured.
        host: String,
        /// As configured.
        port: u16,
        /// How TLS had begun.
        tls: TlsMode,
    },
    /// The server's certificate cannot be trusted.
    Certificate {
        /// As configured; the name that was verified.
        host: String,
        /// What is wrong with it.
        problem: CertificateProblem,
    },
    /// The two sides could not agree on TLS.
    Handshake {
        /// As configured.
        host: String,
        /// As configured.
        port: u16,
        /// On what they could not agree.
        problem: HandshakeProblem,
        /// Whether anything of a ServerHello had come.
        answered: bool,
    },
    /// The connection ended before the TLS handshake did.
    ClosedDuringHandshake {
        /// As configured.
        host: String,
        /// As configured.
        port: u16,
        /// How it ended.
        source: io::Error,
        /// Whether the server had said anything but goodbye.
        heard: bool,
    },
    /// The file of trusted authorities cannot be used.
    CaFile {
        /// As configured.
        path: PathBuf,
        /// Why not.
        why: CaFileProblem,
    },
    /// The certificate of this side, or its key, cannot be used.
    ClientCertificate {
        /// The file, as configured.
        path: PathBuf,
        /// Why not.
        why: ClientCertificateProblem,
    },
    /// This machine has no certificates of authorities.
    NoTrustStore {
        /// What was said when they were looked for.
        why: String,
    },
    /// The host cannot stand in a certificate.
    InvalidName {
        /// As configured.
        host: String,
    },
    /// The system has no thread or no file for it.
    System {
        /// What it lacks.
        source: io::Error,
    },
}

/// What is wrong with a server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// Its time is over.
    Expired {
        /// The last moment of its validity, if it could be read.
        not_after: Option<Timestamp>,
    },
    /// Its time has not come.
    NotYetValid {
        /// The first moment of its validity, if it could be read.
        not_before: Option<Timestamp>,
    },
    /// It is for other names.
    WrongName {
        /// The names and addresses it is for, as the server wrote them.
        presented: Vec<String>,
        /// The name that was verified is that of `tls_server_name`, and not the host's.
        is_server_name: bool,
    },
    /// No trusted authority has signed it.
    UnknownIssuer,
    /// It is signed by itself alone.
    SelfSigned,
    /// Its key is none of those that are pinned.
    WrongKey {
        /// The pin that it has.
        pin: String,
    },
    /// Its authority took it back.
    Revoked,
    /// Anything else, in words that follow "the certificate of HOST".
    Other(String),
}

/// Why two sides could not agree on TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeProblem {
    /// The server knows only versions before TLS 1.2.
    OldVersions,
    /// No cipher or key exchange is known to both sides.
    NothingInCommon,
    /// The account asks for a post-quantum key exchange, and nothing is known to both sides.
    NoPostQuantum,
    /// The server does not answer to the name it was called by.
    NameRefused,
    /// The server wants a certificate from its clients.
    ClientCertificateWanted,
    /// The server refused the certificate that it was shown.
    ClientCertificateRefused,
    /// The first message of TLS was answered by this alert, in words of the TLS library: the server, or something in
    /// between, could make nothing of it.
    NotUnderstood(String),
    /// Anything else, in words of the TLS library.
    Other(String),
}

/// Why a file of trusted authorities cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum CaFileProblem {
    /// It cannot be read.
    Read(io::Error),
    /// It is something else than a regular file.
    NotAFile,
    /// It is larger than any collection of certificates: this many octets.
    TooLarge(u64),
    /// Reading it took longer than this.
    TooSlow(Duration),
    /// It holds no certificate in PEM form.
    NoCertificate,
    /// This certificate, counted from one, cannot be read.
    Damaged {
        /// Which one.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// Why a proxy made no connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyProblem {
    /// It could not be reached itself.
    Unreachable(Box<NetError>),
    /// It speaks something else.
    NotAProxy,
    /// It wants a name and a password, or others.
    CredentialsRefused,
    /// It refused or failed, in these words.
    Refused(String),
    /// The connection to it broke.
    Lost(io::Error),
    /// It took longer than this.
    TimedOut(Duration),
}

/// Why a file of this side's certificate or key cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientCertificateProblem {
    /// It cannot be read.
    Read(io::Error),
    /// It is something else than a regular file.
    NotAFile,
    /// It is larger than any certificate or key.
    TooLarge,
    /// It holds no certificate in PEM form.
    NoCertificate,
    /// It holds no private key in PEM form that is not encrypted.
    NoKey,
    /// It is a key, and every user of this machine can read it.
    Exposed {
        /// Its permissions.
        mode: u32,
    },
    /// The key does not belong to the certificate.
    Mismatch,
    /// The TLS library makes nothing of it, in these words.
    Unusable(String),
}

impl NetError {
    /// Whether nothing of an answer came to the first message of TLS: what a box does that expects it in one packet, and
    /// finds it larger.
    #[must_use]
    pub fn is_unanswered_hello(&self) -> bool {
        matches!(
            self,
            Self::TlsTimeout { heard: false, .. }
                | Self::ClosedDuringHandshake { heard: false, .. }
                | Self::Handshake {
                    answered: false,
                    problem: HandshakeProblem::NotUnderstood(_)
                        | HandshakeProblem::OldVersions
                        | HandshakeProblem::NothingInCommon
                        | HandshakeProblem::NoPostQuantum,
                    ..
                }
        )
    }

    /// Whether another address of the same host may do better.
    #[must_use]
    pub fn is_of_one_address(&self) -> bool {
        matches!(
            self,
            Self::TlsTimeout { .. }
                | Self::NotTls { .. }
                | Self::Certificate { .. }
                | Self::Handshake { .. }
                | Self::ClosedDuringHandshake { .. }
        )
    }
}

impl std::error::Error for NetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Resolve { source, .. } | Self::ClosedDuringHandshake { source, .. } | Self::System { source } => {
                Some(source)
            }
            Self::CaFile { why: CaFileProblem::Read(source), .. } => Some(source),
            _ => None,
        }
    }
}
