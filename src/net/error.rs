//! Why a connection could not be made. Every text is one line.

mod text;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::account::TlsMode;

/// Why a connection could not be made.
#[derive(Debug)]
pub enum NetError {
    /// The host's name could not be resolved.
    Resolve {
        /// As configured.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The host's name was not even looked up in time, because lookups of other names do not end.
    LookupsHang {
        /// As configured.
        host: String,
        /// How long was allowed.
        limit: Duration,
        /// How many lookups are under way.
        hanging: usize,
    },
    /// The host's name exists, but has no address.
    NoAddress {
        /// As configured.
        host: String,
    },
    /// The host has addresses, but none of the requested IP version.
    NoAddressOnRoute {
        /// As configured.
        host: String,
    },
    /// The requested source address cannot be used.
    SourceAddress {
        /// As configured.
        address: IpAddr,
        /// Why no socket can be bound to it.
        source: io::Error,
    },
    /// The proxy could not connect to the server.
    Proxy {
        /// The proxy, without its credentials.
        proxy: String,
        /// What it did not do.
        problem: ProxyProblem,
    },
    /// Connecting failed at every address.
    Connect {
        /// As configured.
        host: String,
        /// As configured.
        port: u16,
        /// What happened at each address.
        attempts: Vec<(SocketAddr, io::Error)>,
    },
    /// Resolving and connecting together took too long.
    ConnectTimeout {
        /// As configured.
        host: String,
        /// As configured.
        port: u16,
        /// How long was allowed.
        limit: Duration,
        /// The addresses that failed.
        attempts: Vec<(SocketAddr, io::Error)>,
        /// The addresses that had not answered. If this and `attempts` are empty, the resolver had not answered.
        unanswered: Vec<SocketAddr>,
    },
    /// The server did not complete the TLS handshake in time.
    TlsTimeout {
        /// As configured.
        host: String,
        /// As configured.
        port: u16,
        /// How TLS was begun.
        tls: TlsMode,
        /// How long was allowed.
        limit: Duration,
        /// Whether the server had sent anything.
        heard: bool,
    },
    /// The server answered the TLS handshake in plain text.
    NotTls {
        /// As configured.
        host: String,
        /// As configured.
        port: u16,
        /// How TLS was begun.
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
        /// What they could not agree on.
        problem: HandshakeProblem,
        /// Whether any part of a ServerHello had arrived.
        answered: bool,
    },
    /// The connection ended before the TLS handshake did.
    ClosedDuringHandshake {
        /// As configured.
        host: String,
        /// As configured.
        port: u16,
        /// How the connection ended.
        source: io::Error,
        /// Whether the server had sent anything other than close_notify.
        heard: bool,
    },
    /// The file of trusted authorities (`tls_ca_file`) cannot be used.
    CaFile {
        /// As configured.
        path: PathBuf,
        /// What is wrong with the file.
        why: CaFileProblem,
    },
    /// The client certificate or its key cannot be used.
    ClientCertificate {
        /// The file, as configured.
        path: PathBuf,
        /// What is wrong with the file.
        why: ClientCertificateProblem,
    },
    /// This machine has no trusted certificates.
    NoTrustStore {
        /// What looking for them reported.
        why: String,
    },
    /// The host cannot be a name in a certificate.
    InvalidName {
        /// As configured.
        host: String,
    },
    /// The system lacks a thread or a file descriptor.
    System {
        /// The error that says which of them.
        source: io::Error,
    },
}

/// What is wrong with a server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// Its validity is over.
    Expired {
        /// The last moment of its validity, if it could be read.
        not_after: Option<Timestamp>,
    },
    /// It is not valid yet.
    NotYetValid {
        /// The first moment of its validity, if it could be read.
        not_before: Option<Timestamp>,
    },
    /// It was issued for other names.
    WrongName {
        /// The names and addresses it was issued for, as in the certificate.
        presented: Vec<String>,
        /// Whether the verified name was that of `tls_server_name` rather than the host's.
        is_server_name: bool,
    },
    /// No trusted authority has signed it.
    UnknownIssuer,
    /// It is self-signed.
    SelfSigned,
    /// Its key is not one of the pinned ones.
    WrongKey {
        /// The pin of its key.
        pin: String,
    },
    /// Its authority revoked it.
    Revoked,
    /// Anything else, in words that can follow "the certificate of HOST".
    Other(String),
}

/// Why two sides could not agree on TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeProblem {
    /// The server supports only versions before TLS 1.2.
    OldVersions,
    /// The two sides have no cipher or key exchange in common.
    NothingInCommon,
    /// The account requires a post-quantum key exchange, and the two sides have none in common.
    NoPostQuantum,
    /// The server does not accept the name it was called by.
    NameRefused,
    /// The server requires a client certificate.
    ClientCertificateWanted,
    /// The server refused our client certificate.
    ClientCertificateRefused,
    /// The ClientHello was answered with this alert, in words of the TLS library: the server, or something in between,
    /// could not parse it.
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
    /// It is not a regular file.
    NotAFile,
    /// It is larger than any collection of certificates: this many octets.
    TooLarge(u64),
    /// Reading it took longer than this.
    TooSlow(Duration),
    /// It contains no certificate in PEM form.
    NoCertificate,
    /// This certificate, counted from one, cannot be read.
    Damaged {
        /// Its place in the file, from one.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// Why a proxy made no connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyProblem {
    /// The proxy itself could not be reached.
    Unreachable(Box<NetError>),
    /// It does not speak the expected protocol.
    NotAProxy,
    /// It requires credentials, or refused ours.
    CredentialsRefused,
    /// It refused or failed, in these words.
    Refused(String),
    /// The connection to it broke.
    Lost(io::Error),
    /// It took longer than this.
    TimedOut(Duration),
}

/// Why a client certificate or key file cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientCertificateProblem {
    /// It cannot be read.
    Read(io::Error),
    /// It is not a regular file.
    NotAFile,
    /// It is larger than any certificate or key.
    TooLarge,
    /// Reading it took longer than this.
    TooSlow(Duration),
    /// It contains no certificate in PEM form.
    NoCertificate,
    /// It contains no unencrypted private key in PEM form.
    NoKey,
    /// It contains a key that every user of this machine can read.
    Exposed {
        /// The permission bits of the file.
        mode: u32,
    },
    /// The key does not belong to the certificate.
    Mismatch,
    /// The TLS library cannot use it, in these words.
    Unusable(String),
}

impl NetError {
    /// Whether the ClientHello got no answer at all, as happens with a device that expects it in one packet when it is
    /// larger.
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
