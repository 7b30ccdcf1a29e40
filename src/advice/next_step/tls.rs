//! Certificates and the TLS handshake.

use super::{ConnectionStep, of_keys, plain, system};
use crate::net::{CaFileProblem, CertificateProblem, ClientCertificateProblem, HandshakeProblem};
use crate::provider::Provider;

/// About a certificate; `host` is the name that it should be valid for.
pub(super) fn certificate(host: &str, problem: &CertificateProblem) -> ConnectionStep {
    let is_unknown = matches!(problem, CertificateProblem::UnknownIssuer | CertificateProblem::SelfSigned);
    if let Some(provider) = Provider::of(host).filter(|_| is_unknown) {
        return of_keys(intercepted(provider));
    }
    match problem {
        CertificateProblem::Expired { .. } => {
            plain("Ask the server's operator to renew it, and check this machine's clock")
        }
        CertificateProblem::NotYetValid { .. } => plain("Check this machine's clock, then ask the server's operator"),
        CertificateProblem::WrongName { presented, .. } if presented.is_empty() => {
            plain(format!("Ask the server's operator for one that names {host}"))
        }
        CertificateProblem::WrongName { is_server_name: true, .. } => {
            of_keys("If that is a name of your server, set tls_server_name to it; if not, ask the server's operator")
        }
        CertificateProblem::WrongName { .. } => {
            of_keys("If that is a name of your server, set host to it; if not, ask the server's operator")
        }
        CertificateProblem::UnknownIssuer => of_keys(
            "If its authority is a private one, set tls_ca_file to that authority's PEM file, or, if that is set, check that the \
             file holds this authority; otherwise ask the server's operator whether it sends its intermediate certificates",
        ),
        CertificateProblem::SelfSigned => {
            of_keys("If the server is yours, copy its certificate from there and set tls_ca_file to the copy")
        }
        CertificateProblem::WrongKey { .. } => of_keys(
            "If its operator has made a new key, set tls_pin to this one; otherwise somebody may be intercepting the \
             connection",
        ),
        CertificateProblem::Revoked => plain("Ask the server's operator"),
        CertificateProblem::Other(_) => plain("Ask the server's operator for a valid one"),
    }
}

/// Tells that a connection is probably intercepted: a known provider's servers have certificates that every machine
/// trusts.
fn intercepted(provider: &Provider) -> String {
    format!(
        "{} has one that every machine trusts, so this is hardly its server: a virus scanner or a proxy on the way may be \
         reading along, or `host` leads elsewhere. Look at these first, and set tls_ca_file only to the authority of one that \
         you trust with your mail",
        provider.name
    )
}

pub(super) fn handshake(problem: &HandshakeProblem) -> ConnectionStep {
    match problem {
        HandshakeProblem::OldVersions => plain("Ask the server's operator to enable TLS 1.2 or 1.3"),
        HandshakeProblem::NothingInCommon => plain("Ask the server's operator to update its TLS settings"),
        HandshakeProblem::NoPostQuantum => of_keys(
            "Set tls_key_exchange = \"auto\" if this server may do without it, or ask its operator to enable X25519MLKEM768",
        ),
        HandshakeProblem::NameRefused => of_keys("Set host to the name its operator gives"),
        HandshakeProblem::ClientCertificateWanted => {
            of_keys("Set tls_client_cert, or ask its operator for a host or port where a password is enough")
        }
        HandshakeProblem::ClientCertificateRefused => {
            of_keys("Check tls_client_cert, and ask its operator which one it wants")
        }
        HandshakeProblem::Other(_) | HandshakeProblem::NotUnderstood(_) => {
            plain("Try again later, then tell the server's operator")
        }
    }
}

/// About the file that `tls_ca_file` names.
pub(super) fn ca_file(problem: &CaFileProblem) -> ConnectionStep {
    match problem {
        CaFileProblem::Read(source) => {
            system::step(source).map_or_else(|| of_keys("Check the path in tls_ca_file and its permissions"), plain)
        }
        CaFileProblem::NotAFile | CaFileProblem::TooLarge(_) => {
            of_keys("Set tls_ca_file to a file of PEM certificates")
        }
        CaFileProblem::TooSlow(_) => plain("Check the disk it is on"),
        CaFileProblem::NoCertificate => of_keys("Set tls_ca_file to a file with lines that say BEGIN CERTIFICATE"),
        CaFileProblem::Damaged { .. } => plain("Copy it again"),
    }
}

/// About the files that `tls_client_cert` and `tls_client_key` name.
pub(super) fn client_certificate(problem: &ClientCertificateProblem) -> ConnectionStep {
    match problem {
        ClientCertificateProblem::Read(source) => system::step(source)
            .map_or_else(|| of_keys("Check the path in tls_client_cert or tls_client_key and its permissions"), plain),
        ClientCertificateProblem::NotAFile
        | ClientCertificateProblem::TooLarge
        | ClientCertificateProblem::Unusable(_) => {
            of_keys("Set tls_client_cert and tls_client_key to files in PEM form")
        }
        ClientCertificateProblem::TooSlow(_) => plain("Check the disk it is on"),
        ClientCertificateProblem::NoCertificate => of_keys("Set tls_client_cert to a file that has a certificate"),
        ClientCertificateProblem::NoKey => {
            of_keys("Set tls_client_key to a file that has the key, without a passphrase")
        }
        ClientCertificateProblem::Exposed { .. } => plain(
            "Make it readable by its owner only (mode 0600); where a container mounts it, mount it with mode 0400 for the user \
             that mailferry runs as",
        ),
        ClientCertificateProblem::Mismatch => of_keys("Set tls_client_key to the key of this certificate"),
    }
}
