//! Certificates and the TLS handshake.

use std::borrow::Cow;

use super::Step;
use super::system;
use crate::net::{CaFileProblem, CertificateProblem, ClientCertificateProblem, HandshakeProblem};
use crate::provider::Provider;

/// About a certificate; `host` is the name that it should be valid for.
pub(super) fn certificate(host: &str, problem: &CertificateProblem) -> Cow<'static, str> {
    let is_unknown = matches!(problem, CertificateProblem::UnknownIssuer | CertificateProblem::SelfSigned);
    if let Some(provider) = Provider::of(host).filter(|_| is_unknown) {
        return intercepted(provider).into();
    }
    let step = match problem {
        CertificateProblem::Expired { .. } => "Ask the server's operator to renew it, and check this machine's clock",
        CertificateProblem::NotYetValid { .. } => "Check this machine's clock, then ask the server's operator",
        CertificateProblem::WrongName { presented, .. } if presented.is_empty() => {
            return format!("Ask the server's operator for one that names {host}").into();
        }
        CertificateProblem::WrongName { is_server_name: true, .. } => {
            "If that is a name of your server, set tls_server_name to it; if not, ask the server's operator"
        }
        CertificateProblem::WrongName { .. } => {
            "If that is a name of your server, set host to it; if not, ask the server's operator"
        }
        CertificateProblem::UnknownIssuer => {
            "If its authority is a private one, set tls_ca_file to that authority's PEM file, or, if that is set, check that the \
             file holds this authority; otherwise ask the server's operator whether it sends its intermediate certificates"
        }
        CertificateProblem::SelfSigned => {
            "If the server is yours, copy its certificate from there and set tls_ca_file to the copy"
        }
        CertificateProblem::WrongKey { .. } => {
            "If its operator has made a new key, set tls_pin to this one; otherwise somebody may be intercepting the \
             connection"
        }
        CertificateProblem::Revoked => "Ask the server's operator",
        CertificateProblem::Other(_) => "Ask the server's operator for a valid one",
    };
    step.into()
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

pub(super) fn handshake(problem: &HandshakeProblem) -> &'static str {
    match problem {
        HandshakeProblem::OldVersions => "Ask the server's operator to enable TLS 1.2 or 1.3",
        HandshakeProblem::NothingInCommon => "Ask the server's operator to update its TLS settings",
        HandshakeProblem::NoPostQuantum => {
            "Set tls_key_exchange = \"auto\" if this server may do without it, or ask its operator to enable X25519MLKEM768"
        }
        HandshakeProblem::NameRefused => "Set host to the name its operator gives",
        HandshakeProblem::ClientCertificateWanted => {
            "Set tls_client_cert, or ask its operator for a host or port where a password is enough"
        }
        HandshakeProblem::ClientCertificateRefused => "Check tls_client_cert, and ask its operator which one it wants",
        HandshakeProblem::Other(_) | HandshakeProblem::NotUnderstood(_) => {
            "Try again later, then tell the server's operator"
        }
    }
}

/// About the file that `tls_ca_file` names.
pub(super) fn ca_file(problem: &CaFileProblem) -> &'static str {
    match problem {
        CaFileProblem::Read(source) => {
            system::step(source).unwrap_or("Check the path in tls_ca_file and its permissions")
        }
        CaFileProblem::NotAFile | CaFileProblem::TooLarge(_) => "Set tls_ca_file to a file of PEM certificates",
        CaFileProblem::TooSlow(_) => "Check the disk it is on",
        CaFileProblem::NoCertificate => "Set tls_ca_file to a file with lines that say BEGIN CERTIFICATE",
        CaFileProblem::Damaged { .. } => "Copy it again",
    }
}

/// About the files that `tls_client_cert` and `tls_client_key` name.
pub(super) fn client_certificate(problem: &ClientCertificateProblem) -> Step {
    let step = match problem {
        ClientCertificateProblem::Read(source) => {
            system::step(source).unwrap_or("Check the path in tls_client_cert or tls_client_key and its permissions")
        }
        ClientCertificateProblem::NotAFile
        | ClientCertificateProblem::TooLarge
        | ClientCertificateProblem::Unusable(_) => "Set tls_client_cert and tls_client_key to files in PEM form",
        ClientCertificateProblem::TooSlow(_) => "Check the disk it is on",
        ClientCertificateProblem::NoCertificate => "Set tls_client_cert to a file that has a certificate",
        ClientCertificateProblem::NoKey => "Set tls_client_key to a file that has the key, without a passphrase",
        ClientCertificateProblem::Exposed { .. } => {
            "Make it readable by its owner only (mode 0600); where a container mounts it, mount it with mode 0400 for the user \
             that mailferry runs as"
        }
        ClientCertificateProblem::Mismatch => "Set tls_client_key to the key of this certificate",
    };
    Some(step.into())
}
